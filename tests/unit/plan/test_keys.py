"""Keys are a promise to every store there is: they change only when somebody means it."""

import json
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path

import pytest

from ltx_ray.manifest.schema import Extend
from ltx_ray.plan.graph import build_plan
from ltx_ray.plan.keys import artifact_key
from ltx_ray.spec.canonical import canonical
from ltx_ray.spec.source import SourceFacts
from ltx_ray.spec.task import STAGES, Parent
from tests.unit.plan.examples import MODELS, VIDEO, manifest, video

GOLDEN = Path(__file__).with_name("golden_keys.json")
SOURCE = SourceFacts(
    sha256="0" * 64,
    num_bytes=1000,
    duration_s=Fraction(4),
    frame_rate=Fraction(24),
    width_px=384,
    height_px=256,
    has_sound=True,
)
#: One call, and two chained ones that go on from a file: every stage there is.
PLAN = build_plan(
    manifest(VIDEO, video("owl", seconds=Fraction(11), extend=Extend(path="film.mp4", include_source=True))),
    MODELS,
    {"film.mp4": SOURCE},
)
ONE_OF_EACH = {task.stage: task for task in PLAN.tasks.values()}


def test_keys_are_golden():
    """A change here re-makes everything everybody has: raise a stage version or KEY_SCHEMA, and write it anew."""
    assert {task.name: task.key for task in PLAN.tasks.values()} == json.loads(GOLDEN.read_text())


def changed(value):
    """Another value of the same type."""
    match value:
        case bool():
            return not value
        case int() | Fraction():
            return value + 1
        case str():
            return f"{value}x"
        case None:
            return "x"
        case tuple() if not hasattr(value, "_fields"):
            return (*value, *value) if value else (1,)
        case tuple():
            return value._replace(**{value._fields[0]: changed(value[0])})
    name = fields(value)[0].name
    return replace(value, **{name: changed(getattr(value, name))})


@pytest.mark.parametrize("stage", STAGES)
def test_every_recipe_field_decides_the_key(stage):
    task = ONE_OF_EACH[stage]
    keys = {task.key}
    for field in fields(task.recipe):
        recipe = replace(task.recipe, **{field.name: changed(getattr(task.recipe, field.name))})
        keys.add(artifact_key(stage, recipe, task.parents))
    assert len(keys) == 1 + len(fields(task.recipe))


def test_order_and_role_of_parents_decide_the_key():
    recipe = ONE_OF_EACH["upscale"].recipe
    parents = (Parent("a", "1"), Parent("b", "2"))
    others = [(Parent("b", "2"), Parent("a", "1")), (Parent("b", "1"), Parent("a", "2")), parents[:1], ()]
    assert len({artifact_key("upscale", recipe, each) for each in (parents, *others)}) == 5


def test_a_stage_of_equal_recipe_has_another_key():
    recipe = ONE_OF_EACH["generate"].recipe
    assert artifact_key("generate", recipe, ()) != artifact_key("refine", recipe, ())


def test_canonical_text_keeps_kinds_of_numbers_apart():
    texts = [canonical(value) for value in (1, 1.0, "1", True, Fraction(1), [1, 1], None)]
    assert len(set(texts)) == len(texts)
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical(float("nan"))
    with pytest.raises(TypeError, match="object has no canonical form"):
        canonical(object())
