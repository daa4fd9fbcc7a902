"""``refine.strength``, and notes on values that are unusual."""

import pytest

from ltx_ray.spec.sigmas import STAGE_2_DISTILLED, ShiftedByTokens, linear_quadratic, shifted
from tests.unit.manifest.cards import LTX_MODELS

SHIFTED = "takes the schedule shifted, because the noise levels of distilled are fixed"


@pytest.fixture
def read(load):
    """The noise levels of stage 2 of every scene, and the notes without the name of the file."""

    def read(text, *overrides):
        manifest = load(f"model: full-2.3\n{text}", *overrides, models=LTX_MODELS)
        sigmas = [scene.refine.sigmas for video in manifest.videos for scene in video.scenes]
        return sigmas, [note.removeprefix("demo.yaml: ") for note in manifest.notes]

    return read


@pytest.mark.parametrize(
    ("keys", "sigmas"),
    [
        ("schedule: shifted, steps: 8, strength: 0.47", shifted(17)[-9:]),
        ("schedule: shifted, steps: 8, strength: 1.0", shifted(8)),
        ("schedule: linear-quadratic, steps: 1, strength: 0.5", linear_quadratic(2)[-2:]),
        ("schedule: shifted-by-tokens, steps: 4, strength: 0.5", ShiftedByTokens(8, last=4)),
        ("steps: 6, strength: 0.5", shifted(12)[-7:]),
        ("schedule: linear-quadratic, strength: 0.5", linear_quadratic(6)[-4:]),
    ],
)
def test_strength_takes_the_last_steps_of_a_longer_schedule(read, keys, sigmas):
    assert read(f"videos: [{{prompt: p, refine: {{{keys}}}}}]")[0] == [sigmas]


@pytest.mark.parametrize(("preset", "steps"), [("distilled", 3), ("portrait-1080p", 2)])
def test_over_the_fixed_noise_levels_of_a_preset_strength_takes_shifted_with_its_steps_and_says_so(read, preset, steps):
    sigmas, notes = read(f"videos: [{{id: a, prompt: p, preset: {preset}, refine.strength: 0.5}}]")
    assert sigmas == [shifted(2 * steps)[-steps - 1 :]]
    assert notes == [f"videos[0] 'a'.refine.strength: {SHIFTED.replace('distilled', preset)}"]


def test_the_strongest_place_decides_between_strength_and_sigmas(read):
    text = "defaults: {refine.sigmas: [0.5, 0]}\nvideos: [{id: a, prompt: p}]"
    assert read(text, "refine.strength=0.5")[0] == [shifted(6)[-4:]]
    assert read(text, "refine.strength=0.5", "a:refine.sigmas=[0.4, 0]")[0] == [(0.4, 0.0)]


def test_scenes_and_sweeps_have_a_strength_too(read):
    scenes = "videos: [{id: a, scenes: [{prompt: p, seconds: 1}, {prompt: q, seconds: 1, refine.strength: 0.5}]}]"
    assert read(scenes)[0] == [STAGE_2_DISTILLED, shifted(6)[-4:]]
    swept = "sweep: {refine.strength: [0.3, 0.6]}\nvideos: [{id: a, prompt: p}]"
    assert read(swept)[0] == [shifted(10)[-4:], shifted(5)[-4:]]


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        (
            "refine: {schedule: stage2-distilled, strength: 0.5}",
            "refine.strength: 0.5 needs a schedule of any number of steps, and stage2-distilled is fixed; take shifted",
        ),
        ("refine: {sigmas: [0.5, 0], strength: 0.5}", "refine.strength: is given beside sigmas; keep one of them"),
        ("refine.strength: 0", "refine.strength: 0 is not a strength between 0.05 and 1; nearest is 0.05"),
        (
            "preset: draft, refine.strength: 0.5",
            "refine.strength: 0.5 needs a number of steps; write refine.steps beside it, such as 3",
        ),
    ],
)
def test_a_strength_that_has_no_meaning_is_refused(sentences, keys, found):
    text = f"model: full-2.3\nvideos: [{{id: a, prompt: p, {keys}}}]"
    assert sentences(text, models=LTX_MODELS) == [f"demo.yaml: videos[0] 'a'.{found}"]


def test_stage_1_has_no_strength(sentences):
    text = "videos: [{id: a, prompt: p, stage1.strength: 1}, {id: b, scenes: [{prompt: p, stage1: {strength: 1}}]}]"
    what = "stage1.strength: is not a key here, stage 1 begins at noise; nearest is refine.strength"
    assert sentences(f"model: full-2.3\n{text}", models=LTX_MODELS) == [
        f"demo.yaml: videos[0] 'a'.{what}",
        f"demo.yaml: videos[1] 'b'.scenes[0].{what}",
    ]


@pytest.mark.parametrize(
    ("keys", "notes"),
    [
        ("refine: {schedule: shifted, strength: 0.71}", ["is above 0.7, where stage 2 makes the motion again"]),
        ("refine: {schedule: shifted, strength: 0.29}", ["is below 0.3, where stage 2 adds little"]),
        ("refine: {schedule: shifted, strength: 0.7}", []),
        ("refine: {schedule: shifted, strength: 0.3}", []),
        ("refine.sigmas: [0.909375, 0.5, 0]", []),  # levels of noise, as published, and no strength
        ("preset: portrait-1080p", []),
        ("preset: dev", []),
        ("preset: dev, stage1.guidance.video.cfg: 4.5", []),
        (
            "preset: dev, stage1.guidance.video.cfg: 2.9",
            ["is outside 3 to 4.5, which is usual for undistilled checkpoints"],
        ),
        (
            "preset: distilled, stage1.guidance.video.cfg: 2",
            ["is above 1, at which distilled checkpoints are made to run"],
        ),
    ],
)
def test_unusual_values_are_noted_where_the_manifest_sets_them(read, keys, notes):
    found = read(f"videos: [{{prompt: p, {keys}}}]")[1]
    assert [note.split(": ", 1)[1] for note in found] == notes


def test_unusual_values_of_many_videos_are_one_note(read):
    how = "refine: {schedule: shifted, strength: 0.8}"
    text = f"videos: [{{id: a, prompt: p, {how}}}, {{id: b, prompt: q, {how}}}]"
    assert read(text)[1] == [
        "videos[0] 'a'.refine.strength and 1 more: is above 0.7, where stage 2 makes the motion again"
    ]
