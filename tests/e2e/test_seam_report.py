"""Seams of finished videos are told by render, by status and in the index; what is not finished has none yet."""

from __future__ import annotations

import signal

import pyarrow.parquet as pq

LONG = """
model: testcard
defaults: {width: 128, height: 128, frame_rate: 23.976, segment: {frames: 33, connector: 9}}
videos:
  - id: fox
    scenes:
      - {prompt: A fox, num_frames: 73, seed: 3}
      - {prompt: A vixen, num_frames: 49, seed: 4, cut: true}
  - {id: owl, prompt: An owl, num_frames: 9}
"""


def index(ltx_ray, run="runs/long"):
    return {row["id"]: row for row in pq.read_table(ltx_ray.cwd / run / "index.parquet").to_pylist()}


def test_seams_are_in_status_in_the_index_and_in_warnings(ltx_ray):
    manifest = ltx_ray.write(LONG, "long.yaml")
    ran = ltx_ray("render", manifest, "--inline")
    assert ran.code == 0 and "warning" not in ran.err

    [told] = ltx_ray("status", "runs/long", "--json").records
    fox, owl = told["videos"]
    seams = [seam["frame"] for seam in fox["seams"]]
    assert len(seams) == 3 and seams[0] == 33 and 73 < seams[-1] < 122  # the cut at 73 is no seam
    assert all(0 < seam["reencode_error"] < 1 for seam in fox["seams"])
    assert fox["worst_seam"]["multiple"] < 3 and told["warnings"] == []
    assert owl["seams"] is None and owl["worst_seam"] is None

    rows = index(ltx_ray)
    assert rows["fox"]["seams"] == fox["seams"]
    assert rows["fox"]["worst_seam"] == fox["worst_seam"]["multiple"]
    assert rows["fox"]["prompts"] == ["A fox", "A vixen"] and rows["fox"]["seeds"] == [3, 4]
    assert (rows["owl"]["num_seams"], rows["owl"]["frame_rate"]) == (0, "24000/1001")
    file = ltx_ray.cwd / "runs/long/videos/fox.mp4"
    assert rows["fox"]["num_bytes"] == file.stat().st_size and rows["fox"]["path"] == "fox.mp4"

    shown = ltx_ray("status", "runs/long", "--seam-warning", "0.01")
    assert "runs/long/videos/fox.mp4  finished; seams 3, worst " in shown.out
    assert "warning: fox: colour steps " in shown.err and "owl: " not in shown.err
    again = ltx_ray("render", manifest, "--inline", "--seam-warning", "0.01", "--json")
    assert any(line.startswith("fox: sharpness steps ") for line in again.records[-1]["warnings"])


def test_an_index_is_written_also_when_the_render_is_cut_short(ltx_ray):
    process = ltx_ray.start("render", ltx_ray.write(LONG, "long.yaml"), "--inline", "--json")
    for line in process.stdout:
        if '"event": "done"' in line:
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    rows = index(ltx_ray)
    assert process.returncode == 130 and list(rows) == ["fox", "owl"]
    assert [rows["fox"][name] for name in ("is_finished", "sha256", "num_seams", "seams")] == [False, None, None, None]
