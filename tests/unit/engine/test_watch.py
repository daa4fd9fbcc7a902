"""What the engine does about attempts that hang, nodes that go, tasks nobody wants any more, and full devices."""

from __future__ import annotations

import pytest

from ltx_ray.engine.instructions import CancelAttempt, Dispatch, JournalEntry, Kill, Retire
from ltx_ray.engine.retry import Limits
from ltx_ray.engine.state import RunState
from ltx_ray.spec import records
from ltx_ray.spec.events import (
    CancelRequested,
    Done,
    Failure,
    TaskCancelled,
    TaskDone,
    TaskFailed,
    TaskProgressed,
    TasksCancelled,
    Tick,
    WorkerDraining,
    WorkerJoined,
    WorkerLost,
)
from ltx_ray.spec.task import STAGES
from tests.fakes import chain, diamond, independent, video_tasks

LIMITS = Limits(hang_s=100.0, drain_grace_s=10.0)
NO_MEMORY = Failure(
    "OutOfMemoryError", "CUDA out of memory", "Traceback ...", log=("loading", "at 79 GiB"), cause="memory"
)


def join(state: RunState, *names: str, at: float = 0.0) -> None:
    for name in names:
        state.handle(WorkerJoined(at, name, frozenset(STAGES)))


def step(state: RunState, key: str, at: float, step_idx: int = 0, num_steps: int = 8):
    progress = state.progress[key]
    return state.handle(TaskProgressed(at, key, progress.worker, progress.attempts, step_idx, num_steps))


def done(state: RunState, key: str, at: float):
    progress = state.progress[key]
    return state.handle(TaskDone(at, key, progress.worker, progress.attempts, Done(key, "d", 1)))


def of(kind, instructions):
    return [instruction for instruction in instructions if isinstance(instruction, kind)]


def status(state: RunState) -> dict[str, str]:
    return {key: progress.status for key, progress in state.progress.items()}


# Hanging


def test_a_task_without_progress_for_its_limit_is_killed_and_tried_elsewhere(run_state):
    state = run_state(chain(1), limits=LIMITS)
    join(state, "a", "b")
    assert of(Kill, state.handle(Tick(99.9))) == []
    (kill,) = of(Kill, state.handle(Tick(100.0)))
    assert (kill.worker, kill.cause, kill.why) == ("a", "hang", "s0 generate: no progress for 100 s")
    (again,) = of(Dispatch, state.handle(WorkerLost(100.1, "a", "hang")))
    assert (again.worker, again.attempt) == ("b", 2)
    assert state.progress["s0"].deaths == ("a",) and state.progress["s0"].num_hangs == 1


def test_a_slow_task_that_progresses_is_left_alone(run_state):
    state = run_state(chain(1), limits=LIMITS)
    join(state, "a")
    for idx in range(8):
        step(state, "s0", at=90.0 * (idx + 1), step_idx=idx)
        assert of(Kill, state.handle(Tick(90.0 * (idx + 1) + 80.0))) == []
    assert of(Kill, state.handle(Tick(820.0)))


def test_a_worker_is_told_to_die_once_and_gets_nothing_until_it_has(run_state):
    state = run_state(independent(2), limits=LIMITS)
    join(state, "a")
    assert of(Kill, state.handle(Tick(100.0)))
    assert state.handle(Tick(200.0)) == []
    out = done(state, "s0", at=200.5)
    assert status(state) == {"s0": "done", "s1": "ready"} and of(Dispatch, out) == []
    state.handle(WorkerLost(201.0, "a", "hang"))
    assert state.progress["s0"].deaths == ()
    (next_one,) = of(Dispatch, state.handle(WorkerJoined(202.0, "a", frozenset(STAGES))))
    assert next_one.task == "s1"


def test_a_task_that_always_hangs_fails_by_name(run_state):
    state = run_state(chain(2), limits=LIMITS)
    for turn in range(3):
        join(state, "a", at=1000.0 * turn)
        assert of(Kill, state.handle(Tick(1000.0 * turn + 100.0)))
        state.handle(WorkerLost(1000.0 * turn + 101.0, "a", "hang"))
    assert status(state) == {"s0": "failed", "s1": "blocked"}
    assert state.progress["s0"].cause == "3 workers died under it, 3 of them by hanging: a"


def test_each_attempt_has_the_whole_limit(run_state):
    state = run_state(chain(1), limits=LIMITS)
    join(state, "a")
    step(state, "s0", at=50.0, step_idx=5)
    state.handle(WorkerLost(60.0, "a", "node"))
    join(state, "b", at=60.0)
    (row,) = state.running_tasks()
    assert (row.moved_at, row.step_idx, row.num_steps) == (60.0, 0, 0)
    assert of(Kill, state.handle(Tick(159.0))) == [] and of(Kill, state.handle(Tick(160.0)))


def test_progress_of_an_old_attempt_says_nothing_of_the_new_one(run_state):
    state = run_state(chain(1), limits=LIMITS)
    join(state, "a")
    state.handle(WorkerLost(1.0, "a", "node"))
    join(state, "a", at=2.0)
    state.handle(TaskProgressed(90.0, "s0", "a", 1, 3, 8))
    state.handle(TaskProgressed(90.0, "ghost", "a", 1, 3, 8))
    assert of(Kill, state.handle(Tick(102.0)))


def test_a_task_that_loads_may_be_silent_for_longer_until_its_first_step_is_done(run_state):
    state = run_state(chain(1), limits=Limits(hang_s=100.0, load_s=1000.0))
    join(state, "a")
    state.handle(TaskProgressed(50.0, "s0", "a", 1, 0, 0, is_loading=True))
    assert state.handle(Tick(1040.0)) == []
    state.handle(TaskProgressed(1045.0, "s0", "a", 1, 0, 8, is_loading=True))  # the first step begins
    assert state.handle(Tick(2000.0)) == []
    state.handle(TaskProgressed(2001.0, "s0", "a", 1, 1, 8))
    assert state.handle(Tick(2100.0)) == []
    (kill,) = of(Kill, state.handle(Tick(2101.0)))
    assert kill.cause == "hang"


def test_a_task_that_loads_for_ever_is_killed_all_the_same_and_the_next_attempt_begins_anew(run_state):
    state = run_state(chain(1), limits=Limits(hang_s=100.0, load_s=1000.0))
    join(state, "a")
    state.handle(TaskProgressed(0.0, "s0", "a", 1, 0, 0, is_loading=True))
    (kill,) = of(Kill, state.handle(Tick(1000.0)))
    assert kill.why == "s0 generate: no progress for 1000 s while it loads"
    state.handle(WorkerLost(1001.0, "a", "hang"))
    join(state, "a", at=1002.0)
    assert of(Kill, state.handle(Tick(1102.0)))


def test_without_a_limit_nothing_hangs(run_state):
    state = run_state(chain(1), limits=Limits(hang_s=None))
    join(state, "a")
    assert state.handle(Tick(1e9)) == []


def test_the_progress_table_sees_the_steps(run_state):
    state = run_state(chain(1), limits=LIMITS)
    join(state, "a", at=1.0)
    step(state, "s0", at=9.0, step_idx=3, num_steps=8)
    (row,) = state.running_tasks()
    assert (row.task, row.worker, row.started_at, row.moved_at, row.step_idx, row.num_steps) == (
        "s0", "a", 1.0, 9.0, 3, 8,
    )  # fmt: skip


# Draining


def test_what_a_draining_node_runs_may_finish_before_the_deadline(run_state):
    state = run_state(independent(2), limits=LIMITS)
    join(state, "a")
    assert of(CancelAttempt, state.handle(WorkerDraining(1.0, "a", 31.0))) == []
    assert of(CancelAttempt, state.handle(Tick(20.9))) == []
    out = done(state, "s0", at=20.9)
    assert of(Retire, out) and not of(Dispatch, out)


def test_before_the_deadline_a_task_is_asked_to_stop_once_and_given_back_without_blame(run_state):
    state = run_state(chain(1), limits=LIMITS)
    join(state, "a")
    state.handle(WorkerDraining(1.0, "a", 31.0))
    assert of(CancelAttempt, state.handle(Tick(21.0))) == [CancelAttempt("s0", "a", 1)]
    assert state.handle(Tick(22.0)) == []
    join(state, "b", at=22.5)
    out = state.handle(TaskCancelled(23.0, "s0", "a", 1))
    assert of(Retire, out) == [Retire("a", "drained")]
    assert [dispatch.worker for dispatch in of(Dispatch, out)] == ["b"]
    assert state.progress["s0"].tried == frozenset()


def test_at_the_deadline_a_task_that_does_not_stop_is_taken_off_its_node(run_state):
    state = run_state(chain(1), limits=LIMITS)
    join(state, "a", "b")
    state.handle(WorkerDraining(1.0, "a", 31.0))
    state.handle(Tick(21.0))
    (kill,) = of(Kill, state.handle(Tick(31.0)))
    assert (kill.worker, kill.cause) == ("a", "drain")
    assert [d.worker for d in of(Dispatch, state.handle(WorkerLost(31.1, "a", "drain")))] == ["b"]
    assert state.progress["s0"].deaths == ()


def test_a_node_that_drains_without_a_deadline_hurries_nobody(run_state):
    state = run_state(chain(1), limits=Limits(hang_s=None))
    join(state, "a")
    state.handle(WorkerDraining(1.0, "a"))
    assert state.handle(Tick(1e6)) == []


# Tasks nobody wants


def test_cancelled_tasks_are_blocked_and_all_others_finish(run_state):
    state = run_state([*video_tasks("fox"), *video_tasks("owl")], limits=LIMITS)
    state.handle(TasksCancelled(0.0, frozenset(key for key in state.tasks if key.startswith("fox/"))))
    join(state, "a")
    at = 1.0
    while running := state.running_tasks():
        at += 1.0
        done(state, running[0].task, at)
    assert state.finished and state.total("done") == len(state.tasks) / 2
    assert {p.cause for k, p in state.progress.items() if k.startswith("fox/")} == {"cancelled"}


def test_a_running_task_is_stopped_when_cancelled_and_its_failure_no_longer_counts(run_state):
    state = run_state(chain(2), limits=LIMITS)
    join(state, "a")
    out = state.handle(TasksCancelled(1.0, frozenset(state.tasks)))
    assert of(CancelAttempt, out) == [CancelAttempt("s0", "a", 1)]
    assert state.handle(TasksCancelled(1.5, frozenset(state.tasks))) == []
    assert not state.finished
    state.handle(TaskCancelled(2.0, "s0", "a", 1))
    assert state.finished and status(state) == {"s0": "blocked", "s1": "blocked"}


@pytest.mark.parametrize("end", ["failed", "death", "hang"])
def test_a_cancelled_task_that_ends_badly_is_blocked_all_the_same(run_state, end):
    state = run_state(chain(1), limits=LIMITS)
    join(state, "a")
    state.handle(TasksCancelled(1.0, frozenset(["s0"])))
    hopeless = Failure("Kind", "message", "", retryable=False, cause="stage")
    state.handle(TaskFailed(2.0, "s0", "a", 1, hopeless) if end == "failed" else WorkerLost(2.0, "a", end))
    assert state.progress["s0"].status == "blocked" and state.finished


def test_a_cancelled_task_that_finishes_first_is_kept(run_state):
    state = run_state(chain(2), limits=LIMITS)
    join(state, "a")
    state.handle(TasksCancelled(1.0, frozenset(["s0"])))
    done(state, "s0", at=2.0)
    assert status(state) == {"s0": "done", "s1": "blocked"} and state.finished


def test_what_needs_a_cancelled_task_is_blocked_with_it(run_state):
    state = run_state(diamond(), limits=LIMITS)
    state.handle(TasksCancelled(1.0, frozenset(["left", "ghost"])))
    join(state, "a", at=2.0)
    done(state, "top", at=3.0)
    done(state, "right", at=4.0)
    assert status(state) == {"top": "done", "left": "blocked", "right": "done", "bottom": "blocked"}


def test_what_is_over_cannot_be_cancelled(run_state):
    state = run_state(chain(1), limits=LIMITS)
    join(state, "a")
    done(state, "s0", at=1.0)
    assert state.handle(TasksCancelled(2.0, frozenset(["s0"]))) == []


def test_a_run_that_is_stopped_asks_each_task_once(run_state):
    state = run_state(independent(2), limits=LIMITS)
    join(state, "a")
    first = state.handle(TasksCancelled(1.0, frozenset(["s0"])))
    second = state.handle(CancelRequested(2.0, now=True))
    assert len(of(CancelAttempt, first + second)) == 1


# Devices without memory


def test_a_worker_out_of_memory_is_replaced_and_the_failure_counts(run_state):
    state = run_state(chain(1), limits=LIMITS)
    join(state, "a")
    out = state.handle(TaskFailed(1.0, "s0", "a", 1, NO_MEMORY))
    (kill,) = of(Kill, out)
    assert (kill.worker, kill.cause) == ("a", "replaced") and not of(Dispatch, out)
    state.handle(WorkerLost(1.1, "a", "replaced"))
    (again,) = of(Dispatch, state.handle(WorkerJoined(2.0, "a", frozenset(STAGES))))
    assert again.attempt == 2
    assert len(state.progress["s0"].failures) == 1 and state.progress["s0"].deaths == ()


def test_a_task_that_never_fits_fails_after_its_attempts(run_state):
    state = run_state(chain(1), limits=LIMITS)
    for turn in range(3):
        join(state, "a", at=turn)
        state.handle(TaskFailed(turn + 0.5, "s0", "a", turn + 1, NO_MEMORY))
        state.handle(WorkerLost(turn + 0.6, "a", "replaced"))
    assert status(state) == {"s0": "failed"} and "CUDA out of memory" in state.progress["s0"].cause


# Records


def test_a_failure_is_recorded_with_its_traceback_and_last_lines_up_to_a_bound(run_state):
    state = run_state(chain(1), limits=LIMITS)
    join(state, "a")
    lines = tuple(f"line {idx}" for idx in range(70))
    failure = Failure("ValueError", "no", "x" * 9000 + "the end", cause="stage").told({}, lines)
    out = state.handle(TaskFailed(1.0, "s0", "a", 1, failure))
    (record,) = (entry.record for entry in of(JournalEntry, out) if isinstance(entry.record, records.Failure))
    assert record.cause == "stage"
    assert record.log == lines[-50:]
    assert len(record.traceback) == 4000 and record.traceback.endswith("the end")
