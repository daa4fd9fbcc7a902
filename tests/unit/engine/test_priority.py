from __future__ import annotations

import pytest

from ltx_ray.engine.priority import WINDOW_LAG_S, children_of, remaining_chain, urgency
from tests.fakes import diamond, make_task, video_tasks


def chains(tasks, weights=None):
    plan = {task.key: task for task in tasks}
    return remaining_chain(plan, children_of(plan), weights=weights or {})


def test_a_chain_counts_the_task_itself_and_its_longest_way_out():
    assert chains(diamond()) == {"top": 3, "left": 2, "right": 2, "bottom": 1}


def test_a_stage_weighs_what_it_is_said_to_and_one_otherwise():
    chain = chains(video_tasks("x"), {"refine": 10.0, "audio_decode": 0.5})
    assert chain["x/refine"] == 10.0 + 1.0 + 1.0
    assert chain["x/audio_decode"] == 1.5


def test_a_window_goes_while_its_chain_goes_on_and_not_after_all_of_it():
    """Twenty refined segments, each with a window: the first windows go before the last segments."""
    weights = {"refine": 25.0}
    tasks = [make_task(f"r{idx}", "refine", parents=[f"r{idx - 1}"] if idx else []) for idx in range(20)]
    tasks += [make_task(f"d{idx}", "decode", parents=[f"r{idx}"]) for idx in range(20)]
    plan = {task.key: task for task in tasks}
    chain = remaining_chain(plan, children_of(plan), weights=weights)
    urgent = urgency(plan, chain)
    assert chain["d0"] < chain["r19"]
    assert urgent["r2"] > urgent["d0"] > urgent["r10"]
    assert urgent["d0"] == chain["r0"] - WINDOW_LAG_S
    assert urgent["d19"] == chain["d19"], "never less urgent than what is behind it"
    assert all(urgent[task.key] == chain[task.key] for task in tasks if task.stage == "refine")


def test_the_order_of_the_tasks_does_not_matter():
    assert chains(reversed(video_tasks("x"))) == chains(video_tasks("x"))


def test_children_are_in_plan_order_and_each_once():
    plan = {
        task.key: task for task in [make_task("b", parents=["a", "a"]), make_task("a"), make_task("c", parents="a")]
    }
    assert children_of(plan) == {"b": [], "a": ["b", "c"], "c": []}


def test_a_task_that_descends_from_itself_is_refused():
    with pytest.raises(ValueError, match="task l generate descends from itself"):
        chains([make_task("l", parents=["r"]), make_task("r", parents=["l"]), make_task("end", parents=["l"])])


def test_a_chain_of_five_thousand_does_not_recurse():
    tasks = [make_task(f"s{idx}", parents=[f"s{idx - 1}"]) for idx in range(5_000)]
    assert chains(tasks)["s0"] == 5_000
