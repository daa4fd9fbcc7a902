"""Keys are a promise to every store there is: they change only when somebody means it."""

import json
from dataclasses import fields, make_dataclass, replace
from fractions import Fraction
from pathlib import Path

import pytest

from ltx_ray.manifest.load import load_manifest
from ltx_ray.manifest.schema import Audio, Extend, Image, Picture
from ltx_ray.plan.dag import Plan
from ltx_ray.plan.graph import build_plan
from ltx_ray.plan.keys import artifact_key, digest_of
from ltx_ray.plan.record import RecordedTask, plan_lines
from ltx_ray.spec.canonical import canonical, later
from ltx_ray.spec.source import GivenFacts, SoundFacts, SourceFacts, StillFacts
from ltx_ray.spec.task import STAGES, Parent
from tests.unit.manifest import cards
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
STILL = StillFacts(sha256="b" * 64, num_bytes=9, width_px=640, height_px=480)
SHOWN = Image(path="still.png", at="first", strength=1.0, fit="cover", background=(0, 0, 0), crf=33)
SONG = SoundFacts(sha256="c" * 64, num_bytes=9, duration_s=Fraction(9), sample_rate_hz=48_000)
LAID = Audio(path="song.wav", start=Fraction(1), mode="drive", pad="none")
SINGLE = video("ant", prompt="an ant")
SINGLE = replace(SINGLE, stages="one", audio_from="stage1", scenes=(replace(SINGLE.scenes[0], refine=None),))
#: One call, two chained ones that go on from a file, one with an image and a sound, one with a film: every recipe.
PLAN = build_plan(
    manifest(
        VIDEO,
        video("owl", seconds=Fraction(11), extend=Extend(path="film.mp4", include_source=True)),
        replace(video("elk", prompt="an elk"), images=(SHOWN,), audio=LAID),
        replace(SINGLE, picture=Picture(path="film.mp4", takes_size=False)),
    ),
    MODELS,
    GivenFacts(films={"film.mp4": SOURCE}, images={"still.png": STILL}, sounds={"song.wav": SONG}),
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
        case int() | float() | Fraction():
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


def with_an_option(recipe, **options):
    """The recipe as a later version has it, with two options that were added to its class."""
    added = [("added", int, later(0, since=2)), ("also", Fraction | None, later(None, since=2))]
    grown = make_dataclass(type(recipe).__name__, added, bases=(type(recipe),), frozen=True, slots=True, kw_only=True)
    return grown(**{each.name: getattr(recipe, each.name) for each in fields(recipe)}, **options)


@pytest.mark.parametrize("task", PLAN.tasks.values(), ids=lambda task: task.name)
def test_an_option_that_is_added_later_changes_a_key_only_where_it_is_set(task):
    def key_with(**options):
        return artifact_key(task.stage, with_an_option(task.recipe, **options), task.parents)

    assert key_with() == key_with(added=0, also=None) == task.key
    assert len({task.key, key_with(added=1), key_with(also=Fraction(0)), key_with(added=1, also=Fraction(1))}) == 4


def test_what_the_record_of_a_task_says_has_its_key():
    grown = replace(ONE_OF_EACH["refine"], recipe=with_an_option(ONE_OF_EACH["refine"].recipe, added=1))
    grown = replace(grown, key=artifact_key(grown.stage, grown.recipe, grown.parents))
    lines = plan_lines(Plan(tasks={**PLAN.tasks, grown.key: grown}, videos=PLAN.videos))
    records = [record for record in map(json.loads, lines) if "key" in record]
    assert len(records) == len(PLAN.tasks) + 1
    assert all(RecordedTask.of(record).is_true_to_key() for record in records)


@pytest.mark.parametrize("parents", [[], [["latent", "0"]], [["latent", None]], [[[], {}]]])
def test_a_record_whose_parents_are_odd_is_not_true_to_its_key(parents):
    record = next(json.loads(line) for line in plan_lines(PLAN) if '"stage":"stitch"' in line)
    assert RecordedTask.of(record).is_true_to_key()
    assert not RecordedTask.of(record | {"parents": parents}).is_true_to_key()


def test_parents_cannot_be_told_in_another_way():
    recipe = ONE_OF_EACH["upscale"].recipe
    two = (Parent("a", "1"), Parent("b", "2"))
    others = [(Parent('a","1","b', "2"),), (Parent("a", '1","b","2'),), (Parent("a 1 b", "2"),)]
    assert artifact_key("upscale", recipe, two) not in {artifact_key("upscale", recipe, each) for each in others}


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


def keys_of(tmp_path: Path, output: str) -> set[str]:
    path = tmp_path / "demo.yaml"
    path.write_text(f"videos: [{{id: fox, prompt: p, output: {{path: fox.mkv, {output}}}}}]")
    return set(build_plan(load_manifest(str(path), [], models=cards.MODELS), cards.MODELS).tasks)


@pytest.mark.parametrize("change", ["crf: 30", "preset: slow", "audio_bit_rate: 96000"])
def test_what_a_codec_ignores_is_in_no_key(tmp_path, change):
    assert keys_of(tmp_path, f"codec: ffv1, {change}") == keys_of(tmp_path, "codec: ffv1")
    is_of_sound = change.startswith("audio")  # an mkv's is lossless, whatever its pictures are
    assert (keys_of(tmp_path, f"codec: h264, {change}") == keys_of(tmp_path, "codec: h264")) == is_of_sound


def test_a_setting_that_a_codec_does_not_have_leaves_the_digest_of_its_entry_as_files_have_it():
    lossless = replace(VIDEO.output, path="fox.mkv", codec="ffv1", crf=None, preset=None, audio_bit_rate=None)
    plan = build_plan(manifest(replace(VIDEO, output=lossless)), MODELS)
    (stitch,) = (task.recipe for task in plan.tasks.values() if task.stage == "stitch")
    as_before = replace(lossless, path="", crf=18, preset="medium", audio_bit_rate=192_000)
    assert json.loads(stitch.provenance)["entry_sha256"] == digest_of(replace(VIDEO, output=as_before))
