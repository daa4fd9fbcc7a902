"""A plan's lines, read back."""

from __future__ import annotations

import json

import pytest

from ltx_ray.plan.record import RecordedTask, RecordedVideo, plan_lines
from ltx_ray.spec.rebuild import rebuilt_recipe
from ltx_ray.spec.stages import SPECS, STAGES
from tests.unit.plan.test_keys import ONE_OF_EACH, PLAN

LINES = [json.loads(line) for line in plan_lines(PLAN)]
RECORDED = {line["key"]: RecordedTask.of(line) for line in LINES if "key" in line}


def test_every_task_comes_back_as_it_was_planned():
    assert {task.stage for task in PLAN.tasks.values()} == set(STAGES)
    kinds = {type(task.recipe) for task in PLAN.tasks.values()}
    assert kinds == {kind for row in SPECS.values() for kind in row.recipes}, "every kind of recipe is among them"
    assert {key: task.as_planned() for key, task in RECORDED.items()} == PLAN.tasks
    assert [task.name for task in RECORDED.values()] == [task.name for task in PLAN.tasks.values()]


def test_videos_come_back():
    videos = [RecordedVideo.of(line) for line in LINES if "video" in line]
    assert [(one.id, one.path, one.stitch, one.inspect) for one in videos] == [
        (one.id, one.path, one.stitch, one.inspect) for one in PLAN.videos
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"stage": "decode"},
        {"stage": "other"},
        {"parents": ()},
        {"recipe": {}},
        {"recipe": {"num_frames": float("nan")}},
        {"recipe": {"num_frames": {"fraction": [1, 0]}}},
    ],
    ids=str,
)
def test_a_task_that_was_changed_is_not_relied_upon(changes):
    task = RECORDED[ONE_OF_EACH["generate"].key]._replace(**changes)
    assert not task.is_true_to_key()
    with pytest.raises(ValueError, match="its key was made of something else"):
        task.as_planned()


@pytest.mark.parametrize("value", [{"fraction": [1, 0]}, {"fraction": 5}, {}, 5, "24", [24, 1]], ids=str)
def test_fields_of_another_kind_make_no_recipe(value):
    plain = RECORDED[ONE_OF_EACH["stitch"].key].recipe
    with pytest.raises(ValueError, match="StitchRecipe: "):
        rebuilt_recipe("stitch", {**plain, "frame_rate": value})
    with pytest.raises(ValueError, match="no recipe of stitch has the fields"):
        rebuilt_recipe("stitch", {**plain, "colour": value})
    with pytest.raises(ValueError, match=r"no recipe of stitch has the fields"):
        rebuilt_recipe("stitch", {"num_frames": 9})
