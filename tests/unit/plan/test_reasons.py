"""The reason of a task names what changed, at its root, old value and new."""

import json
from dataclasses import replace
from fractions import Fraction

import pytest

from ltx_ray.manifest.schema import Sampling
from ltx_ray.plan.graph import build_plan
from ltx_ray.plan.reasons import Reason, changed_fields, explain, in_words, needed, only_for
from ltx_ray.plan.record import last_plan, plan_lines, read_reasons, reason_lines, standing_reasons
from tests.unit.plan.examples import MODELS, SCENE, manifest, video


def plan_of(*videos):
    return build_plan(manifest(*videos), MODELS)


def recorded(plan, made=None):
    return last_plan([json.loads(line) for line in plan_lines(plan)], plan.tasks if made is None else made)


def reasons(plan, kept=(), last=None):
    return {task.name: str(reason) for task, reason in explain(plan, kept, last)}


def test_without_a_last_plan_everything_is_new():
    assert set(reasons(plan_of()).values()) == {"new"}


def test_what_was_planned_but_never_made_is_new():
    plan = plan_of()
    assert set(reasons(plan, last=recorded(plan, made=())).values()) == {"new"}


def test_what_is_kept_is_cached():
    plan = plan_of()
    assert set(reasons(plan, kept=set(plan.tasks)).values()) == {"cached"}


def test_a_missing_intermediate_nobody_needs_is_not_made():
    plan = plan_of()
    (stitch,) = (video.stitch for video in plan.videos)
    assert needed(plan, {stitch}) == set()
    assert reasons(plan, kept={stitch})["fox/segment 0 refine"] == "not needed: what it is for is kept"


def test_a_missing_intermediate_is_made_for_a_missing_descendant():
    plan = plan_of()
    lost = {task.key for task in plan.tasks.values() if task.name in ("fox/window 1 decode", "fox stitch")}
    names = {plan.tasks[key].name for key in needed(plan, set(plan.tasks) - lost)}
    assert names == {"fox/window 1 decode", "fox stitch"}
    gone = {task.key for task in plan.tasks.values() if task.stage in ("decode", "stitch", "refine", "upscale")}
    names = {plan.tasks[key].stage for key in needed(plan, set(plan.tasks) - gone)}
    assert names == {"upscale", "refine", "decode", "stitch"}


def test_what_is_gone_from_the_store_is_missing():
    plan = plan_of()
    assert set(reasons(plan, last=recorded(plan)).values()) == {"missing: made before, not in the store now"}


def test_a_changed_field_is_named_with_both_values():
    before = plan_of(video("fox"))
    after = plan_of(video("fox", refine=Sampling(sampler="euler", sigmas=(0.5, 0.0))))
    said = reasons(after, kept=set(before.tasks), last=recorded(before))
    assert said["fox/segment 0 generate"] == "cached"
    assert said["fox/segment 0 refine"] == "recipe: sampling.sigmas [0.725, 0.0] -> [0.5, 0.0]"
    assert said["fox/window 0 decode"] == "parent: refine sampling.sigmas [0.725, 0.0] -> [0.5, 0.0]"


def test_of_a_list_of_conditions_only_what_differs_is_named():
    def long(strength):
        segment = replace(SCENE.segment, strength=strength)
        return video("fox", seconds=Fraction(11), join="pixels", crossfade=8, segment=segment)

    before = plan_of(long(0.75))
    said = reasons(plan_of(long(0.5)), kept=set(before.tasks), last=recorded(before))
    assert said["fox/segment 1 generate"] == "recipe: conditions.0.strength 0.75 -> 0.5"
    words = list(in_words({"conditions": [{"kind": "hold", "start": 0, "stop_s": {"fraction": [1, 2]}}], "given": []}))
    assert words == ["conditions.0.kind 'hold'", "conditions.0.start 0", "conditions.0.stop_s 1/2"]


def test_a_descendant_says_the_change_at_its_root():
    before, after = plan_of(video("fox")), plan_of(video("fox", prompt="an owl"))
    said = reasons(after, kept=set(before.tasks), last=recorded(before))
    assert said["fox text_encode"] == "recipe: prompt 'a fox' -> 'an owl'"
    assert said["fox/segment 0 refine"] == "parent: text_encode prompt 'a fox' -> 'an owl'"
    assert "provenance.prompt 'a fox' -> 'an owl'" in said["fox stitch"]


def test_a_new_window_changes_the_number_of_inputs():
    before, after = plan_of(video("fox", provenance=False)), plan_of(video("fox", provenance=False, decode_window=2))
    said = reasons(after, kept=set(before.tasks), last=recorded(before))
    assert said["fox/window 7 decode"] == "new"
    assert said["fox stitch"] == "parent: 3 inputs -> 9"


def test_a_plan_of_another_schema_is_no_last_plan():
    assert last_plan([{"schema": 99, "key": "x"}], ()) is None
    assert last_plan([], ()) is None


def test_each_take_is_compared_with_itself():
    def scenes(first):
        return tuple(replace(SCENE, prompt=prompt, cut=True) for prompt in (first, "B", "C"))

    before, after = plan_of(video("fox", scenes=scenes("A"))), plan_of(video("fox", scenes=scenes("AA")))
    said = reasons(after, kept=set(before.tasks), last=recorded(before))
    assert said["fox/take 0 text_encode"] == "recipe: prompt 'A' -> 'AA'"
    assert said["fox/take 1/segment 0 refine"] == "cached"


def test_a_full_render_after_a_draft_says_that_another_stage_feeds_it():
    before, after = plan_of(video("fox", refine=None)), plan_of(video("fox"))
    said = reasons(after, kept=set(before.tasks), last=recorded(before))
    assert said["fox/window 0 decode"] == "parent: refine instead of generate"


def test_only_what_no_other_video_waits_for_goes_with_a_video():
    plan = build_plan(manifest(video("fox"), video("owl", seed=8), video("elk", prompt="an elk")), MODELS)
    tasks = plan.tasks
    fox = only_for(plan, (), {"fox"})
    assert {tasks[key].unit.split("/")[0] for key in fox} == {"fox"}
    assert {tasks[key].stage for key in fox} == {"generate", "upscale", "refine", "decode", "audio_decode", "stitch"}
    both = only_for(plan, (), {"fox", "owl"})
    assert {tasks[key].name for key in both - fox - only_for(plan, (), {"owl"})} == {"fox text_encode"}
    assert only_for(plan, (), {"fox", "owl", "elk"}) == set(tasks)
    assert only_for(plan, set(tasks), {"fox"}) == set()
    twins = build_plan(manifest(video("fox"), video("fox")), MODELS)
    assert only_for(twins, (), {"none"}) == set()


@pytest.mark.parametrize(
    ("name", "odd"),
    [
        ("provenance", 5),
        ("provenance", "{cut"),
        ("provenance", "[]"),
        ("frame_rate", {"fraction": 5}),
        ("video_seed", {}),
    ],
)
def test_a_last_plan_with_odd_recipes_is_compared_all_the_same(name, odd):
    before = plan_of(video("fox"))
    lines = [json.loads(line) for line in plan_lines(before)]
    for line in lines:
        if "recipe" in line:
            line["recipe"][name] = odd
    last = last_plan(lines, set())
    said = reasons(plan_of(video("fox", seed=8)), kept=(), last=last)
    assert said["fox/segment 0 generate"].startswith("recipe: ")
    assert all(isinstance(words, str) for line in lines if "recipe" in line for words in in_words(line["recipe"]))


def test_an_option_that_was_not_written_is_said_to_be_unset():
    assert list(changed_fields({"crf": 18}, {"crf": 18, "grain": 0.5})) == ["grain unset -> 0.5"]
    assert list(changed_fields({"crf": 18, "grain": None}, {"crf": 18})) == ["grain None -> unset"]


def test_a_reason_stands_until_the_task_is_asked_for_again():
    plan = build_plan(manifest(), MODELS)
    first, second, third = list(plan.tasks.values())[:3]
    before = {first.key: Reason("recipe", "seed 7 -> 8"), "gone": Reason("missing")}
    now = [(first, Reason("new")), (second, Reason("parent", "generate seed 7 -> 8")), (third, Reason("new"))]
    standing = standing_reasons(now, before)
    assert standing == {first.key: before[first.key], second.key: now[1][1]}
    assert read_reasons([json.loads(line) for line in reason_lines(standing)]) == standing
    assert read_reasons([{"schema": 2}, None, {"schema": 1, "key": "a", "kind": "odd", "detail": ""}]) == {}
