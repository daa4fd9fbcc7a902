"""What a plan says of all its tasks."""

from dataclasses import replace

from ltx_ray.plan.graph import build_plan
from tests.unit.plan.examples import MODELS, manifest, video


def plan(**priorities):
    videos = [replace(video(name, seed=seed), priority=each) for seed, (name, each) in enumerate(priorities.items())]
    return build_plan(manifest(*videos), MODELS)


def test_tasks_have_the_level_of_the_video_that_needs_them_and_shared_ones_the_highest():
    found = plan(late=-3, plain=0, soon=5)
    by_unit = {task.unit.partition("/")[0]: found.levels[key] for key, task in found.tasks.items() if "/" in task.unit}
    assert by_unit == {"late": -3, "plain": 0, "soon": 5}
    (text,) = (found.levels[key] for key, task in found.tasks.items() if task.stage == "text_encode")
    assert text == 5  # of all three


def test_videos_of_one_priority_have_no_levels():
    assert plan(fox=0, owl=0).levels == {} == plan(fox=7).levels


def test_a_priority_is_in_no_key():
    assert plan(fox=0, owl=0).tasks.keys() == plan(fox=0, owl=9).tasks.keys()
