"""A recipe names the weights of what its stage uses, so a change of one part re-makes what it touches."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ltx_ray.plan.graph import build_plan
from ltx_ray.spec.stages import SPECS
from ltx_ray.spec.weights import PARTS, Lora
from tests.unit.plan.examples import FACTS, VIDEO, manifest, video

VIDEOS = manifest(VIDEO, video("owl", prompt="an owl"))


def keys(facts=FACTS):
    """Of every task, by name."""
    return {task.name: task.key for task in build_plan(VIDEOS, {"toy": facts}).tasks.values()}


def with_part(part, **changes):
    """The facts with one part of their weights changed."""
    weights = tuple(replace(each, **changes) if each.part == part else each for each in FACTS.weights)
    return replace(FACTS, weights=weights)


def changed_stages(part, **changes):
    """Stages of which any key changes."""
    before, after = keys(), keys(with_part(part, **changes))
    return {name.split()[-1] for name in before if before[name] != after[name]}


def test_recipes_carry_the_parts_of_their_stage_and_no_others():
    for task in build_plan(VIDEOS, {"toy": FACTS}).tasks.values():
        parts = tuple(weights.part for weights in getattr(task.recipe, "weights", ()))
        assert parts == SPECS[task.stage].weights, task.name


STITCHED = {"stitch"}
AFTER_DECODE = {"decode"} | STITCHED
AFTER_REFINE = {"refine", "audio_decode"} | AFTER_DECODE
EVERYTHING = {"text_encode", "generate", "upscale"} | AFTER_REFINE


@pytest.mark.parametrize(
    ("part", "stages"),
    [
        ("text_encoder", EVERYTHING),
        ("connectors", EVERYTHING),
        ("transformer", EVERYTHING - {"text_encode"}),
        ("upscaler", {"upscale"} | AFTER_REFINE),
        ("video_vae", {"upscale"} | AFTER_REFINE),
        ("audio_vae", {"audio_decode"} | STITCHED),
        ("vocoder", {"audio_decode"} | STITCHED),
    ],
)
@pytest.mark.parametrize(
    "change", [{"digest": "other"}, {"precision": "bf16"}, {"loras": (Lora(digest="d", strength=0.5),)}], ids=str
)
def test_another_part_re_makes_what_uses_it_and_what_follows(part, stages, change):
    assert changed_stages(part, **change) == stages


def test_the_digest_of_the_whole_is_said_in_the_file_and_nowhere_else():
    before, after = keys(), keys(replace(FACTS, digest="toy-2"))
    assert {name.split()[-1] for name in before if before[name] != after[name]} == STITCHED


def test_every_part_is_used_by_some_stage():
    assert {part for spec in SPECS.values() for part in spec.weights} == set(PARTS)
