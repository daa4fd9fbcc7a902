from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pyarrow.parquet as pq
import pytest

from ltx_ray.errors import StoreError
from ltx_ray.report.index import SCHEMA, IndexRow, write_index
from ltx_ray.report.seams import Seam, SeamReport

SEAM = Seam(frame=96, at_s=4.004, colour=1.0, sharpness=0.5, motion=2.5, loudness=None, reencode_error=0.2)
ROW = IndexRow(
    id="journey",
    path="a/journey.mp4",
    num_frames=200,
    frame_rate=Fraction(24000, 1001),
    width_px=128,
    height_px=96,
    num_bytes=1234,
    sha256="ab" * 32,
    model="testcard",
    prompts=("Dusk", "Dawn"),
    seeds=(7, 2**63 - 1),
    stitch_key="cd" * 32,
    seams=SeamReport((replace(SEAM, frame=48, at_s=2.002, motion=1.0), SEAM)),
)


def written(path, *rows):
    write_index(rows, path)
    return pq.read_table(path).to_pylist()


def test_a_finished_video_says_all_of_itself_and_its_seams(tmp_path):
    [row] = written(tmp_path / "index.parquet", ROW)
    assert row["frame_rate"] == "24000/1001" and row["seconds"] == pytest.approx(200 * 1001 / 24000)
    assert row["is_finished"] and row["prompts"] == ["Dusk", "Dawn"] and row["seeds"] == [7, 2**63 - 1]
    assert (row["num_seams"], row["worst_seam"], row["worst_seam_kind"]) == (2, 2.5, "motion")
    assert row["worst_seam_at_s"] == 4.004
    assert Seam(**row["seams"][1]) == SEAM


def test_an_unfinished_video_has_no_file_and_no_seams_yet(tmp_path):
    [row] = written(tmp_path / "index.parquet", replace(ROW, num_bytes=None, sha256=None, seams=None))
    assert not row["is_finished"]
    assert [row[name] for name in ("sha256", "num_seams", "worst_seam", "seams")] == [None] * 4


@pytest.mark.parametrize(("seams", "count"), [(SeamReport(()), 0), (SeamReport((), "is corrupt"), None)])
def test_no_seam_is_told_from_a_report_that_is_gone(tmp_path, seams, count):
    [row] = written(tmp_path / "index.parquet", replace(ROW, seams=seams))
    assert row["num_seams"] == count and row["worst_seam"] is None


def test_an_index_of_nothing_has_its_columns(tmp_path):
    path = tmp_path / "index.parquet"
    assert written(path) == []
    assert pq.read_schema(path).equals(SCHEMA)


def test_it_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "index.parquet"
    written(path, ROW, ROW)
    assert len(written(path, ROW)) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_where_it_cannot_be_written_it_is_a_fault_of_the_storage(tmp_path):
    with pytest.raises(StoreError, match=r"index\.parquet"):
        write_index([ROW], tmp_path / "gone" / "index.parquet")
