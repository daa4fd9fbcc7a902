"""Seeded faults: whatever goes wrong between latents and file, ``probe`` sees it and names the first wrong frame.

The faults are made with the project's own parts, so each file is a well-formed one that nothing but a read-back can
tell from a good one.
"""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ltx_ray.cli.main import main
from ltx_ray.media.audio import read_wav, write_wav
from ltx_ray.media.colour import to_yuv
from ltx_ray.media.join import join_chunks
from ltx_ray.media.read import read_planes
from ltx_ray.media.write import encode_chunk
from ltx_ray.models.catalog import BUILT_IN
from ltx_ray.models.load import Loaded
from ltx_ray.models.testcard.facts import TESTCARD
from ltx_ray.plan.graph import build_plan
from ltx_ray.proof import probe
from ltx_ray.spec.task import Task
from ltx_ray.stages.decode import decode
from ltx_ray.store.open import open_store
from ltx_ray.worker.execute import execute
from ltx_ray.worker.parents import Parents
from tests.unit.plan.examples import manifest, video

RATE = Fraction(24)
SECONDS = Fraction(5, 2)


class Silent:
    def alive(self, *, is_loading=False):
        pass

    def step(self, step_idx, num_steps):
        pass


class Farm:
    """A store, and the tasks of two rendered cards in it, by name."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = open_store(root / "store")
        shared = {"model": "testcard", "width": 256, "height": 192, "seconds": SECONDS, "frame_rate": RATE}
        videos = [video("fox", **shared, decode_window=3), video("owl", **shared, prompt="an owl")]
        plan = build_plan(manifest(*videos), BUILT_IN)
        self.tasks = {task.name: task for task in plan.tasks.values()}
        for task in plan.tasks.values():
            execute(task, self.store, Silent(), Loaded(BUILT_IN))

    def latent(self, task: str):
        """The video latent that the first decode window of ``fox`` reads, or that ``task`` made."""
        from contextlib import ExitStack

        with ExitStack() as stack:
            decode_task = self.tasks["fox/window 0 decode"]
            parents = replace(decode_task, parents=(decode_task.parents[0]._replace(key=self.tasks[task].key),))
            return Parents(parents, self.store, stack).tensors("latent")["video"]

    def frames(self, refined: str = "fox/segment 0 refine") -> np.ndarray:
        """All pictures of ``fox``, decoded in one piece."""
        recipe = replace(self.tasks["fox/window 0 decode"].recipe, start=0, stop=int(SECONDS * RATE))
        return np.concatenate(
            list(decode(recipe, self.latent(refined), Loaded(BUILT_IN).open(TESTCARD.weights), Silent()))
        )

    def sound(self) -> np.ndarray:
        with self.store.local_path(self.tasks["fox audio_decode"].key) as path:
            return read_wav(path)

    def film(self, frames: np.ndarray, sound: np.ndarray | None = None, *, crop=None, **recipe) -> Path:
        """A file of ``fox`` with these pictures, and this sound if it is not its own."""
        settings = replace(self.tasks["fox/window 0 decode"].recipe.encode, crop_px=crop)
        chunk, wav, out = self.root / "chunk", self.root / "sound.wav", self.root / "film.mp4"
        encode_chunk([frames], chunk, settings=settings, frame_rate=RATE)
        write_wav([self.sound() if sound is None else sound], wav, sample_rate_hz=48_000)
        stitch = replace(self.tasks["fox stitch"].recipe, num_frames=len(frames), **recipe)
        join_chunks([chunk], out, recipe=stitch, sound=wav)
        return out


@pytest.fixture(scope="module")
def farm(tmp_path_factory) -> Farm:
    return Farm(tmp_path_factory.mktemp("farm"))


def test_the_untouched_film_is_right(farm):
    assert probe(farm.film(farm.frames())).wrong == ()


def swapped(frames):
    frames = frames.copy()
    frames[[30, 31]] = frames[[31, 30]]
    return frames


def test_a_dropped_frame_is_seen_where_it_is(farm):
    frames = farm.frames()
    frames = np.concatenate([np.delete(frames, 23, axis=0), frames[-1:]])
    assert probe(farm.film(frames)).wrong[0].startswith("frame 23: frame: expected number 23, found number 24")


def test_a_doubled_frame_is_seen_where_it_is(farm):
    frames = np.insert(farm.frames(), 40, farm.frames()[39], axis=0)[:-1]
    assert probe(farm.film(frames)).wrong[0].startswith("frame 40: frame: expected number 40, found number 39")


def test_two_swapped_frames_are_seen_where_they_are(farm):
    frames = swapped(farm.frames())
    assert probe(farm.film(frames)).wrong[0].startswith("frame 30: frame: expected number 30, found number 31")


@pytest.mark.parametrize("shift_ms", [20, -20])
def test_sound_shifted_by_20_ms_is_heard(farm, shift_ms):
    shifted = np.roll(farm.sound(), 48 * shift_ms, axis=1)
    wrong = probe(farm.film(farm.frames(), shifted)).wrong
    assert "beep late" in wrong[0] if shift_ms > 0 else "beep early" in " ".join(wrong)


def test_sound_shifted_by_5_ms_is_within_tolerance(farm):
    assert probe(farm.film(farm.frames(), np.roll(farm.sound(), 48 * 5, axis=1))).wrong == ()


def test_silence_is_noticed(farm):
    assert "beep missing" in probe(farm.film(farm.frames(), np.zeros_like(farm.sound()))).wrong[0]


def test_a_missing_window_is_refused_when_stitched_and_seen_when_forced(farm):
    from ltx_ray.errors import MediaError

    windows = [task for name, task in farm.tasks.items() if name.startswith("fox/window")]
    assert len(windows) == 3
    with farm.store.local_path(windows[0].key) as first, farm.store.local_path(windows[2].key) as last:
        recipe, out = farm.tasks["fox stitch"].recipe, farm.root / "gap.mp4"
        with pytest.raises(MediaError, match="60"):
            join_chunks([first, last], out, recipe=recipe, sound=None)
        num_frames = sum(task.recipe.stop - task.recipe.start for task in (windows[0], windows[2]))
        join_chunks([first, last], out, recipe=replace(recipe, num_frames=num_frames), sound=None)
    wrong = probe(out).wrong
    assert wrong[0].startswith(f"picture: expected 60 frames, found {num_frames}")
    assert any(f"frame {windows[0].recipe.stop}: frame: expected" in sentence for sentence in wrong)


def rerun(farm: Farm, task: Task, **parents: str) -> Task:
    """``task`` made with other parents by role, under a key of its own."""
    swapped = tuple(parent._replace(key=parents.get(parent.role, parent.key)) for parent in task.parents)
    other = replace(task, key="f" * 63 + str(len(parents)), parents=swapped)
    farm.store.forget(other.key)
    execute(other, farm.store, Silent(), Loaded(BUILT_IN))
    return other


def test_refining_another_videos_latents_is_seen(farm):
    refine = farm.tasks["fox/segment 0 refine"]
    farm.tasks["mixed"] = rerun(farm, refine, video=farm.tasks["owl/segment 0 upscale"].key)
    wrong = probe(farm.film(farm.frames("mixed"))).wrong
    assert wrong[0].startswith("frame 0: ")
    assert len([sentence for sentence in wrong if sentence.startswith("frame ")]) >= 60


def test_a_file_that_says_it_is_a_card_and_is_none_is_wrong(farm):
    assert "no test card can be read" in probe(farm.film(np.full_like(farm.frames(), 90))).wrong[-1]


def told(capsys, *arguments: str) -> str:
    """What ``probe`` prints of a file that is right."""
    assert main(["probe", *arguments]) == 0
    return capsys.readouterr().out


def test_a_crop_that_leaves_no_strip_is_no_fault_and_is_said(farm, capsys):
    path = str(farm.film(farm.frames(), crop=(100, 96)))
    text = told(capsys, path)
    assert "stage 1 not provable: cropped, stage 2 not provable: cropped" in text and "beeps 3/3" in text
    card = json.loads(told(capsys, "--json", path))["card"]
    assert card["not_provable"] == {"frames": "cropped", "fine": "cropped", "flashes": "cropped"}
    assert "beep missing" in probe(farm.film(farm.frames(), np.zeros_like(farm.sound()), crop=(100, 96))).wrong[0]


def test_two_takes_without_provenance_are_read_from_the_film(farm, capsys):
    """A second take that runs to 2.5 s after one of 1 s."""
    frames, sound = farm.frames(), farm.sound()
    joined = np.concatenate([frames[:24], frames]), np.concatenate([sound[:, :48_000], sound], axis=1)
    path = str(farm.film(*joined, provenance=None))
    assert "takes 24+60 as read, frames 84/84" in told(capsys, path)
    assert json.loads(told(capsys, "--json", path))["card"]["takes_read"] == [24, 60]


def test_a_file_of_the_wrong_rate_is_wrong(farm):
    wrong = probe(farm.film(farm.frames(), farm.sound()[:, : 48_000 * 60 // 25], frame_rate=Fraction(25))).wrong
    assert wrong[0] == "picture: expected 24 frames a second, found 25"


@pytest.mark.parametrize("window_latents", [1, 2, 3, 5, 8])
def test_chunks_hold_exactly_the_frames_of_one_decode_without_encoding(tmp_path, farm, window_latents):
    """Lossless windows joined by packet copy, against the same latent decoded in one piece and never encoded."""
    lossless = video("fox", model="testcard", width=256, height=192, seconds=SECONDS, frame_rate=RATE)
    lossless = replace(
        lossless,
        decode_window=window_latents,
        output=replace(lossless.output, codec="ffv1", path="fox.mkv"),
    )
    tasks = list(build_plan(manifest(lossless), BUILT_IN).tasks.values())
    for task in tasks:
        execute(task, farm.store, Silent(), Loaded(BUILT_IN))
    with farm.store.local_path(tasks[-1].key) as path:
        joined = list(read_planes(path))
    assert len(joined) == 60
    from av.video.reformatter import VideoReformatter

    converter = VideoReformatter()
    for picture, planes in zip(farm.frames(), joined, strict=True):
        frame = to_yuv(converter, picture, "yuv420p")
        for plane, expected in zip(planes, frame.planes, strict=True):
            stored = np.frombuffer(expected, np.uint8).reshape(-1, expected.line_size)[:, : expected.width]
            np.testing.assert_array_equal(plane, stored)
