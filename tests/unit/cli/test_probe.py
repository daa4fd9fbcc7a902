"""``ltx-ray probe``: every file is looked at, what is said of each, and the exit code of them all."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ltx_ray.cli.main import main
from ltx_ray.media.audio import write_wav
from ltx_ray.media.join import join_chunks
from ltx_ray.media.write import encode_chunk
from ltx_ray.plan.graph import build_plan
from ltx_ray.proof import probe
from tests.unit.plan.examples import MODELS, manifest, video

RATE = Fraction(24)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A directory with a good film of three grey frames, a cut one, noise, and one of a frame too few."""
    root = tmp_path_factory.mktemp("films")
    film(root / "good.mp4", 3)
    film(root / "short.mp4", 2)
    (root / "cut.mp4").write_bytes((root / "good.mp4").read_bytes()[:-400])
    (root / "noise.mp4").write_bytes(bytes(range(256)) * 40)
    return root


def film(path: Path, num_frames: int) -> None:
    """A film of a model that is no test card, whose provenance says three frames."""
    plan = build_plan(manifest(video("fox", width=128, height=128, seconds=Fraction(1, 8), frame_rate=RATE)), MODELS)
    tasks = {task.stage: task for task in plan.tasks.values()}
    stitch, encode = tasks["stitch"].recipe, tasks["decode"].recipe.encode
    frames = np.full((num_frames, 128, 128, 3), 90, np.uint8)
    encode_chunk([frames], path.with_suffix(".chunk"), settings=encode, frame_rate=RATE)
    write_wav([np.zeros((2, num_frames * 2000), np.float32)], path.with_suffix(".wav"), sample_rate_hz=48_000)
    recipe = replace(stitch, num_frames=num_frames)
    join_chunks([path.with_suffix(".chunk")], path, recipe=recipe, sound=path.with_suffix(".wav"))


def ran(capsys, *arguments: str | Path) -> tuple[int, str, str]:
    code = main(["probe", *(str(argument) for argument in arguments)])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_files_after_one_that_cannot_be_read_are_still_looked_at(files, capsys):
    code, out, err = ran(capsys, files / "cut.mp4", files / "good.mp4")
    assert code == 6
    assert "cut off" in err and "cut.mp4" in err
    assert f"{files / 'good.mp4'}: h264 128x128, 3 frames" in out


def test_a_name_longer_than_any_file_can_have_is_no_file(tmp_path, capsys):
    code, out, _ = ran(capsys, tmp_path / ("x" * 300))
    assert code == 2 and out.endswith(": no file can be here, the name is too long; check the path\n")


@pytest.mark.parametrize("name", ["cut.mp4", "noise.mp4", "short.mp4"])
def test_a_file_that_is_there_and_wrong_is_a_failed_proof(files, capsys, name):
    code, _, err = ran(capsys, files / name)
    assert code == 6 and name in err


@pytest.mark.parametrize(("name", "words"), [("absent.mp4", "no file is here"), (".", "is a directory")])
def test_what_is_no_file_is_bad_input_once_the_others_are_looked_at(files, capsys, name, words):
    code, out, err = ran(capsys, files / name, files / "short.mp4", files / "good.mp4")
    assert code == 2
    assert words in err and "and 1 more file" in err
    assert "expected 3 frames, found 2" in out and "3 frames at 24 fps" in out


def test_json_has_a_record_of_every_file(files, capsys):
    names = ["cut.mp4", "absent.mp4", "good.mp4", "short.mp4"]
    code, out, _ = ran(capsys, "--json", *(files / name for name in names))
    *records, last = (json.loads(line) for line in out.splitlines())
    assert code == 2 and last["type"] == "error"
    assert [(record["type"], Path(record["path"]).name) for record in records] == [("probe", name) for name in names]
    assert ["error" in record for record in records] == [True, True, False, False]
    assert records[2]["wrong"] == [] and records[3]["wrong"]


def test_right_files_end_with_0(files, capsys):
    assert ran(capsys, files / "good.mp4")[0] == 0
    assert probe(files / "good.mp4").card is None
