"""What segments are guided by, and what a control that does not fit is told."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from ltx_ray.errors import ManifestError
from ltx_ray.manifest.schema import Control, Segment
from ltx_ray.plan.graph import build_plan
from ltx_ray.spec.conditions import Reference
from ltx_ray.spec.source import GivenFacts, SourceFacts
from tests.unit.plan.examples import MODELS, SCENE, manifest, video

FILM = SourceFacts(
    sha256="a" * 64,
    num_bytes=9,
    duration_s=Fraction(5),
    frame_rate=Fraction(24),
    width_px=768,
    height_px=512,
    has_sound=True,
)
CONTROL = Control(path="pose", kind="given", strength=1.0, downscale=1)
SHAPE = Segment(frames=49, connector=17, overshoot=8)
VIDEO = replace(video("fox"), scenes=(replace(SCENE, seconds=Fraction(5), segment=SHAPE),), control=CONTROL)


def plan(of=VIDEO, film=FILM):
    return build_plan(manifest(of), MODELS, GivenFacts(films={"pose": film}))


def references(planned, stage):
    for task in planned.tasks.values():
        if task.stage == stage:
            keys = [parent.key for parent in task.parents if parent.role == "condition"]
            for condition, key in zip(task.recipe.conditions, keys, strict=True):
                if isinstance(condition, Reference):
                    yield task.recipe, condition, planned.tasks[key].recipe


def test_every_segment_of_stage_1_sees_its_frames_and_stage_2_sees_none():
    found = [(film.start, film.stop) for _, _, film in references(plan(), "generate")]
    assert not list(references(plan(), "refine"))
    starts = [recipe.origin_s * 24 for recipe, _, _ in references(plan(), "generate")]
    assert starts == [start for start, _ in found] and len(found) > 3
    for recipe, condition, film in references(plan(), "generate"):
        assert condition.piece == (0, recipe.num_frames // 8 + 1)
        assert (film.footage.width_px, film.footage.height_px) == (192, 128)


def test_a_lora_that_reads_it_smaller_is_given_it_smaller():
    of = replace(VIDEO, control=replace(CONTROL, downscale=2, kind="canny", strength=0.5))
    for _, condition, film in references(plan(of), "generate"):
        assert (condition.downscale, condition.strength, film.edges) == (2, 0.5, "canny")
        assert (film.footage.width_px, film.footage.height_px) == (96, 64)


def test_one_that_is_too_short_is_refused_and_one_that_is_longer_or_of_another_shape_noted():
    with pytest.raises(ManifestError) as raised:
        plan(film=replace(FILM, duration_s=Fraction(4)))
    assert str(raised.value) == (
        "toy.yaml: video 'fox': control.path: pose has 96 frames at this rate, and the video has 120; make the video "
        "at most 96 frames long, or give a longer control"
    )
    notes = [str(note) for note in plan(film=replace(FILM, duration_s=Fraction(6), width_px=512)).notes]
    assert notes == [
        "fox: the control has 144 frames at this rate; those after 120 are not read",
        "fox: the control of 512x512 is scaled to cover 384x256, and cut around its centre",
    ]


def test_another_control_makes_the_text_anew_no_more_than_the_seams():
    def keys(planned):
        return {task.name: task.key for task in planned.tasks.values()}

    before, after = keys(plan()), keys(plan(film=replace(FILM, sha256="b" * 64)))
    assert {name for name, key in after.items() if before.get(name) == key} == {"fox text_encode"}
