"""Each metric is shown to see its own fault and no other, and none sees a fault where there is none."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from ltx_ray.errors import MediaError
from ltx_ray.media.audio import open_wav, write_wav
from ltx_ray.media.seams import METRICS, inspect_seams
from ltx_ray.spec.recipe import InspectRecipe

RATE = Fraction(24)
SIZE = 96
LENGTH = 96
SEAM = 47
THRESHOLD = 3.0
SR = 48_000


def scene(seed: int, places: np.ndarray, num_frames: int = LENGTH) -> np.ndarray:
    """Grained waves that move by ``places`` pixels and breathe in brightness, float [n, SIZE, SIZE, 3]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE] * (2 * np.pi / SIZE)
    waves = sum(rng.uniform(4, 12) * np.sin(a * x + b * y + rng.uniform(0, 7)) for a, b in rng.integers(-4, 5, (8, 2)))
    still = waves[..., None] * rng.uniform(0.5, 1, 3) + rng.normal(0, 4, (SIZE, SIZE, 1)) + 120
    moved = np.stack([np.roll(still, int(place), axis=1) for place in places])
    light = 3 * np.sin(np.arange(num_frames) / 9 + rng.uniform(0, 7))
    return moved + light[:, None, None, None] + rng.normal(0, 1, moved.shape)


def music(seed: int, num_samples: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(num_samples) / SR
    tones = sum(np.sin(2 * np.pi * rng.uniform(100, 900) * t + rng.uniform(0, 7)) for _ in range(4))
    swell = 1 + 0.1 * np.sin(2 * np.pi * 0.9 * t + rng.uniform(0, 7))
    return (np.stack([tones, tones * 0.8]) * swell * 0.05 + rng.normal(0, 0.002, (2, num_samples))).astype(np.float32)


def blurred(frames: np.ndarray) -> np.ndarray:
    return sum(np.roll(frames, (dy, dx), (1, 2)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)) / 9


@pytest.fixture
def inspect(encode, tmp_path):
    """``inspect(frames, sound)``: the report on them, cut into chunks apart from the seams."""

    def make(frames, sound=None, *, counts=(40, 56), seams=(SEAM,), cuts=(), errors=None, **settings):
        edges = np.cumsum((0, *counts))
        whole = np.clip(np.rint(frames), 0, 255).astype(np.uint8)
        settings = {"crf": 18, "gop_frames": 48} | settings
        chunks = [encode(whole[a:b], RATE, **settings) for a, b in itertools.pairwise(edges)]
        sounds = []
        if sound is not None:
            # Two files, because a video may have several takes.
            for name, part in zip(("first", "second"), np.split(sound, [sound.shape[1] // 3], axis=1), strict=True):
                write_wav([part], tmp_path / name, sample_rate_hz=SR)
                sounds.append(tmp_path / name)
        recipe = InspectRecipe(
            frame_rate=RATE,
            chunk_frames=tuple(counts),
            sound_samples=tuple(open_wav(path).num_samples for path in sounds),
            seams=tuple(seams),
            cuts=tuple(cuts),
            connectors=tuple(errors or ()),
        )
        return inspect_seams(recipe, chunks, sounds, list((errors or {}).values()))

    return make


def pace(speed: float = 2, faster: float = 2, skipped: float = 0) -> np.ndarray:
    """Where the picture is at each frame: so many pixels a frame before and after the seam, and a skip at it."""
    after = np.arange(LENGTH) - SEAM
    return np.where(after < 0, after * speed, after * faster + skipped)


def faulty(seed: int, fault: str) -> tuple[np.ndarray, np.ndarray]:
    """Frames and sound that go on well but for one fault, from the seam on."""
    paces = {"skip": pace(skipped=12), "held frame": pace(skipped=-2), "faster": pace(faster=9)}
    frames, sound = scene(seed, paces.get(fault, pace())), music(seed, LENGTH * SR // 24)
    onset = SEAM * SR // 24
    match fault:
        case "tint":
            frames[SEAM:] += (5, -3, 0)
        case "contrast":
            frames[SEAM:] = (frames[SEAM:] - 120) * 1.15 + 125
        case "soft":
            frames[SEAM:] = blurred(frames[SEAM:])
        case "louder":
            sound[:, onset:] *= 4
        case "quieter":
            sound[:, onset:] /= 4
        case "click":
            sound[:, onset - 700] += 0.25
    return frames, sound


FAULTS = {
    "none": None,
    "tint": "colour",
    "contrast": "colour",
    "soft": "sharpness",
    "skip": "motion",
    "held frame": "motion",
    "faster": "motion",
    "louder": "loudness",
    "quieter": "loudness",
    "click": "loudness",
}


@pytest.mark.parametrize("seed", range(1, 5))
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_raises_its_own_metric_over_the_threshold_and_no_other(fault, seed, inspect):
    [seam] = inspect(*faulty(seed, fault))["seams"]
    assert {metric for metric in METRICS if seam[metric] > THRESHOLD} == {FAULTS[fault]} - {None}, seam


def test_a_fault_that_a_scene_has_everywhere_is_no_fault_of_its_seam(inspect):
    frames, sound = faulty(1, "none")
    frames[::5] += 6
    [seam] = inspect(frames, sound)["seams"]
    assert seam["colour"] < THRESHOLD


def test_stills_and_silence_have_nothing_to_notice(inspect):
    frames = np.repeat(scene(1, pace())[:1], LENGTH, axis=0)
    [seam] = inspect(frames, np.zeros((2, LENGTH * 2000), np.float32))["seams"]
    assert max(seam[metric] for metric in METRICS) < 1


def test_a_flat_picture_has_no_sharpness_to_lose_and_no_motion(inspect):
    [seam] = inspect(np.full((LENGTH, 64, 64, 3), 90.0))["seams"]
    assert seam["sharpness"] == seam["motion"] == 0


def test_without_sound_loudness_is_left_open(inspect):
    [seam] = inspect(faulty(1, "none")[0])["seams"]
    assert seam["loudness"] is None and seam["colour"] is not None


def test_a_cut_is_neither_a_seam_nor_normal(inspect):
    frames, sound = faulty(1, "none")
    frames[70:] = 255 - frames[70:]
    sound[:, 70 * 2000 :] *= 5
    with_cut = inspect(frames, sound, cuts=(70,))
    [seam] = with_cut["seams"]
    assert max(seam[metric] for metric in METRICS) < THRESHOLD
    assert with_cut["normal"]["colour_frame"] < 3


def test_every_seam_is_judged_by_itself_also_close_to_others(inspect):
    frames, sound = faulty(2, "tint")
    seams = inspect(frames, sound, seams=(41, SEAM, 49, 80))["seams"]
    assert [seam["frame"] for seam in seams] == [41, SEAM, 49, 80]
    assert [seam["colour"] > THRESHOLD for seam in seams] == [False, True, False, False]


def test_a_seam_one_frame_from_the_end_is_judged_by_what_there_is(inspect):
    [seam] = inspect(*faulty(1, "none"), seams=(LENGTH - 1,))["seams"]
    assert max(seam[metric] for metric in METRICS) < THRESHOLD


def test_errors_of_connectors_go_to_their_seams_and_seams_say_when_they_are(inspect):
    report = inspect(*faulty(1, "none"), seams=(24, 48, 72), errors={2: 0.25, 1: None})
    assert [seam["reencode_error"] for seam in report["seams"]] == [None, None, 0.25]
    assert [seam["at_s"] for seam in report["seams"]] == [1, 2, 3]
    assert json.loads(json.dumps(report, allow_nan=False)) == report


@pytest.mark.parametrize("codec", ["h265", "ffv1"])
def test_other_codecs_are_seen_alike(codec, inspect):
    frames, sound = faulty(3, "skip")
    [seam] = inspect(frames, sound, codec=codec, preset="fast")["seams"]
    assert {metric for metric in METRICS if seam[metric] > THRESHOLD} == {"motion"}


def test_a_chunk_shorter_than_the_recipe_says_is_refused(encode):
    recipe = InspectRecipe(frame_rate=RATE, chunk_frames=(30,), sound_samples=(), seams=(15,), cuts=(), connectors=())
    chunk = encode(np.zeros((20, 64, 64, 3), np.uint8))
    with pytest.raises(MediaError, match="ends before frame"):
        inspect_seams(recipe, [chunk], [], [])
    assert inspect_seams(replace(recipe, chunk_frames=(20,)), [chunk], [], [])["seams"]
