from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltx_ray.engine.retry import Limits
from ltx_ray.engine.simulate import Faults, Loads, simulate
from ltx_ray.spec.events import CancelRequested, WorkerJoined, WorkerLost
from ltx_ray.spec.task import STAGES
from tests.fakes import chain, independent, make_task, video_tasks


def test_independent_tasks_share_the_workers_and_a_chain_does_not():
    workers = [("a", STAGES), ("b", STAGES)]
    assert simulate(independent(10), workers, durations={"generate": 3.0}).makespan_s == 15.0
    assert simulate(chain(10), workers, durations={"generate": 3.0}).makespan_s == 30.0


def test_busy_time_adds_up_to_the_work_done():
    result = simulate(video_tasks("x"), [("a", STAGES), ("b", STAGES)], durations=lambda task, worker: 2.0)
    assert sum(result.busy_s.values()) == 2.0 * 8
    assert result.state.total("done") == 8


def test_durations_may_depend_on_the_worker():
    result = simulate(
        independent(4), [("slow", STAGES), ("fast", STAGES)], durations=lambda _, w: 3.0 if w == "slow" else 1.0
    )
    assert (result.makespan_s, result.busy_s) == (3.0, {"slow": 3.0, "fast": 3.0})


def test_a_poison_task_ends_after_its_limit_and_the_rest_is_done():
    faults = Faults(killing={"s3"}, respawn_s=1.0)
    result = simulate(independent(9), [("a", STAGES)], durations={}, faults=faults)
    assert result.state.progress["s3"].deaths == ("a", "a", "a")
    assert (result.state.total("done"), result.state.total("failed")) == (8, 1)


def test_a_bad_worker_is_retired_and_everything_is_done_by_the_other():
    result = simulate(
        independent(20), [("bad", STAGES), ("good", STAGES)], durations={}, faults=Faults(bad_workers={"bad"})
    )
    assert result.state.total("done") == 20
    assert list(result.state.fleet.workers) == ["good"]


def test_the_script_adds_workers_and_takes_them_away():
    script = [WorkerLost(0.5, "a", "node"), WorkerJoined(10.0, "b", frozenset(STAGES))]
    result = simulate(chain(2), [("a", STAGES)], durations={}, script=script)
    assert (result.makespan_s, result.busy_s) == (12.0, {"a": 0.5, "b": 2.0})


def test_a_cancelled_run_ends_early_and_keeps_what_is_done():
    result = simulate(chain(5), [("a", STAGES)], durations={}, script=[CancelRequested(2.5)])
    assert result.state.finished
    assert (result.makespan_s, result.state.total("done")) == (3.0, 3)


@pytest.mark.parametrize(("timeout_s", "is_finished"), [(None, False), (60.0, True)])
def test_without_workers_it_ends_unfinished_unless_there_is_a_timeout(timeout_s, is_finished):
    result = simulate(chain(2), [("a", ["decode"])], durations={}, limits=Limits(no_worker_timeout_s=timeout_s))
    assert result.state.finished == is_finished


def test_three_hundred_lost_workers_are_replaced_without_a_pause():
    nodes = [f"w{idx}" for idx in range(300)]
    script = [WorkerLost(0.5, name, "node") for name in nodes]
    script += [WorkerJoined(1.0, f"new {name}", frozenset(STAGES)) for name in nodes]
    result = simulate(independent(600), [(name, STAGES) for name in nodes], durations={}, script=script)
    assert result.makespan_s == 3.0


MODULES = {"generate": "transformer", "refine": "transformer", "decode": "vae"}


@pytest.mark.parametrize(("ahead", "makespan_s"), [(False, 20.0 + 1.0 + 1.0 + 20.0 + 1.0), (True, 40.0 + 1.0)])
def test_each_module_is_loaded_once_by_a_worker_when_needed_or_ahead(ahead, makespan_s):
    tasks = [
        make_task("g", "generate"),
        make_task("r", "refine", parents=["g"]),
        make_task("d", "decode", parents=["r"]),
    ]
    loads = Loads(module_s=20.0, modules=MODULES, ahead=ahead)
    result = simulate(tasks, [("a", STAGES)], durations={}, loads=loads)
    assert (result.makespan_s, result.busy_s) == (makespan_s, {"a": makespan_s})


def test_a_stage_without_weights_waits_for_none():
    loads = Loads(module_s=20.0, modules=MODULES, ahead=True)
    assert simulate(chain(3, "stitch"), [("a", STAGES)], durations={}, loads=loads).makespan_s == 3.0


def test_a_worker_that_comes_back_loads_again():
    loads = Loads(module_s=20.0, modules=MODULES)
    script = [WorkerLost(25.0, "a", "node"), WorkerJoined(30.0, "a", frozenset(STAGES))]
    result = simulate(chain(5), [("a", STAGES)], durations={"generate": 3.0}, loads=loads, script=script)
    assert result.makespan_s == 30.0 + 20.0 + 4 * 3.0


@settings(max_examples=50, deadline=None)
@given(
    num_workers=st.integers(1, 6),
    num_videos=st.integers(1, 4),
    module_s=st.floats(0.0, 20.0),
    ahead=st.booleans(),
)
def test_loading_costs_no_worker_more_than_each_of_its_modules_once(num_workers, num_videos, module_s, ahead):
    tasks = [task for idx in range(num_videos) for task in video_tasks(f"v{idx}")]
    workers = [(f"w{idx}", STAGES) for idx in range(num_workers)]
    loads = Loads(module_s=module_s, modules=MODULES, ahead=ahead)
    result = simulate(tasks, workers, durations={}, loads=loads)
    assert result.state.total("done") == len(tasks)
    cost_s = sum(result.busy_s.values()) - len(tasks)
    assert -1e-6 <= cost_s <= num_workers * 2 * module_s + 1e-6
