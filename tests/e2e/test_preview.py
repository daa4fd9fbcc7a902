"""What is finished of a video can be played before the rest is, and is the beginning of the final file."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ltx_ray.media.probe import describe
from ltx_ray.media.read import read_frames, read_samples
from ltx_ray.store.open import open_store

LONG = """
model: testcard
defaults: {width: 128, height: 128, frame_rate: 29.97}
videos:
  - id: fox
    decode: {window: 4}
    segment: {frames: 33, connector: 9}
    scenes:
      - {prompt: A fox, num_frames: 73}
      - {prompt: A vixen, num_frames: 49, cut: true}
  - {id: owl, prompt: An owl, num_frames: 9, output: {path: "birds/{id}.mkv"}}
"""


@pytest.fixture
def rendered(ltx_ray):
    """The command after a render of everything."""
    assert ltx_ray("render", ltx_ray.write(LONG, "long.yaml"), "--inline").code == 0
    return ltx_ray


def plan(ltx_ray):
    lines = (ltx_ray.cwd / "runs/long/plan.jsonl").read_text().splitlines()
    return {record["key"]: record for record in map(json.loads, lines) if "key" in record}


def forget(ltx_ray, *units: str):
    """Undo tasks, each ``stage unit``, and all that needs them: as if the render had died before."""
    lost = set()
    store = open_store(str(ltx_ray.cwd / "runs/.store"))
    for key, record in plan(ltx_ray).items():
        if f"{record['stage']} {record['unit']}" in units or lost & {parent for _, parent in record["parents"]}:
            lost.add(key)
            store.forget(key)
    for file in (ltx_ray.cwd / "runs/long/videos").rglob("*.m*"):
        file.unlink()


def snapshot(ltx_ray):
    """Every file of runs and store but the previews, and when it was written."""
    files = (path for path in (ltx_ray.cwd / "runs").rglob("*") if path.is_file() and "preview" not in path.parts)
    return {path: path.stat().st_mtime_ns for path in files}


@pytest.fixture
def final(rendered):
    file = rendered.cwd / "runs/long/videos/fox.mp4"
    return list(read_frames(file)), read_samples(file)


def test_the_finished_windows_are_the_first_frames_of_the_file_and_the_run_stays_as_it_is(rendered, final, no_ray):
    frames, samples = final
    forget(rendered, "decode fox/take 1/window 0")
    before = snapshot(rendered)
    ran = rendered("preview", "runs/long", "fox", "--json", **no_ray)
    assert ran.code == 0, ran.err
    [told] = ran.records
    assert told["frames"] == [73, 122] and told["path"] == "runs/long/preview/fox.mp4"
    assert told["sound_seconds"] == pytest.approx(73 * 1001 / 30000, abs=1e-4)
    shown = list(read_frames(rendered.cwd / told["path"]))
    assert len(shown) == 73 and all(map(np.array_equal, shown, frames))
    heard = read_samples(rendered.cwd / told["path"])
    assert heard.shape[1] == 73 * 1001 * 48000 // 30000
    assert np.abs(heard[:, :-2000] - samples[:, : heard.shape[1] - 2000]).max() < 0.01
    assert snapshot(rendered) == before


def test_sound_of_an_unfinished_take_is_decoded_from_the_segments_that_are_there(rendered, final):
    frames, samples = final
    forget(rendered, "refine fox/take 0/segment 2")
    ran = rendered("preview", "runs/long", "fox", "-o", "fox.mp4")
    assert ran.code == 0, ran.err
    file = rendered.cwd / "fox.mp4"
    shown, heard = list(read_frames(file)), read_samples(file)
    assert 0 < len(shown) < 73 and all(map(np.array_equal, shown, frames))
    assert ran.out == f"fox.mp4  {len(shown) * 1001 / 30000:.1f} of 4.1 s\n"
    assert heard.shape[1] == len(shown) * 1001 * 48000 // 30000
    assert np.abs(heard[:, :-2000] - samples[:, : heard.shape[1] - 2000]).max() < 0.01
    assert np.abs(heard).max() > 0.1


def test_without_any_latent_left_the_sound_is_silent_and_it_says_so(rendered):
    forget(rendered, "decode fox/take 1/window 0", "audio_decode fox/take 0")
    store = open_store(str(rendered.cwd / "runs/.store"))
    for key, record in plan(rendered).items():
        if record["stage"] in {"generate", "refine"}:
            store.forget(key)
    ran = rendered("preview", "runs/long", "fox")
    assert ran.code == 0 and "of its sound 0.0 s are finished" in ran.err
    assert not read_samples(rendered.cwd / "runs/long/preview/fox.mp4").any()


def test_a_silent_preview_loads_no_model_and_has_no_sound(rendered, no_ray):
    forget(rendered, "audio_decode fox/take 0")
    ran = rendered("preview", "runs/long", "fox", "--silent", **no_ray)
    assert ran.code == 0, ran.err
    described = describe(rendered.cwd / "runs/long/preview/fox.mp4")
    assert described.audio is None and described.video.num_frames == 122 and described.video.is_constant


def test_a_finished_video_is_copied_whole(rendered, no_ray):
    ran = rendered("preview", "runs/long", "owl", **no_ray)
    assert ran.out == "runs/long/preview/birds/owl.mkv  0.3 of 0.3 s\n"
    made = rendered.cwd / "runs/long/preview/birds/owl.mkv"
    assert made.read_bytes() == (rendered.cwd / "runs/long/videos/birds/owl.mkv").read_bytes()
    assert [path.name for path in made.parent.iterdir()] == ["owl.mkv"]


def test_what_cannot_be_shown_is_refused_in_a_sentence(rendered):
    forget(rendered, "decode fox/take 0/window 0")
    for arguments, sentence in [
        (["runs/none", "fox"], "runs/none: no run is here"),
        (["runs/long", "fix"], "runs/long: has no video 'fix'; nearest is 'fox'"),
        (["runs/long", "fox"], "runs/long: nothing of 'fox' can be shown yet"),
        (["runs/long", "owl", "-o", "owl.mp4"], "give it a name that ends in .mkv"),
        (["runs/long", "owl", "-o", "runs/long/videos/x.mkv"], "is among the finished videos"),
    ]:
        ran = rendered("preview", *arguments)
        assert ran.code == 2 and sentence in ran.err and ran.err.count("\n") == 1, ran.err
    blocked = rendered("preview", "runs/long", "owl", "-o", "long.yaml/owl.mkv")
    assert blocked.code == 4 and "a part of this path is a file" in blocked.err
