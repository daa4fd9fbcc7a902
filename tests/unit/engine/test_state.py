from __future__ import annotations

import pytest

from ltx_ray.engine.instructions import CancelAttempt, Dispatch, GiveUp, JournalEntry, Retire
from ltx_ray.engine.retry import Limits
from ltx_ray.engine.state import RunState
from ltx_ray.spec.events import (
    CancelRequested,
    Done,
    Failure,
    StoreFailed,
    TaskCancelled,
    TaskDone,
    TaskFailed,
    Tick,
    WorkerDraining,
    WorkerJoined,
    WorkerLost,
    WorkersComing,
)
from ltx_ray.spec.task import STAGES, Stage
from tests.fakes import chain, diamond, independent, make_task, video_tasks

LOST_GPU = Failure("OutOfMemory", "no memory", "Traceback ...", cause="stage")
BAD_INPUT = Failure("PlanError", "bad input", "Traceback ...", retryable=False, cause="stage")

FULL = Failure("StoreUnusable", "no space left", "Traceback ...", retryable=False, cause="storage")
RESET = Failure("StoreError", "connection reset", "Traceback ...", cause="storage")
LOST_INPUT = Failure("ArtifactCorrupt", "a bit flipped", "Traceback ...", retryable=False, cause="input_lost")


def join(
    state: RunState, *names: str, stages: tuple[Stage, ...] = STAGES, at: float = 0.0, offload: str = "swap"
) -> list[Dispatch]:
    """Let workers join, whose parts take turns; return what they were given."""
    joined = (WorkerJoined(at, name, frozenset(stages), offload=offload) for name in names)
    return dispatches([instruction for event in joined for instruction in state.handle(event)])


def dispatches(instructions) -> list[Dispatch]:
    return [instruction for instruction in instructions if isinstance(instruction, Dispatch)]


def events(instructions) -> list[str]:
    return [i.record.event if isinstance(i, JournalEntry) else type(i).__name__ for i in instructions]


def finish(state: RunState, key: str, *, at: float = 1.0):
    progress = state.progress[key]
    return state.handle(TaskDone(at, key, progress.worker, progress.attempts, Done(key, "digest", 1)))


def fail(state: RunState, key: str, failure: Failure = LOST_GPU, *, at: float = 1.0):
    progress = state.progress[key]
    return state.handle(TaskFailed(at, key, progress.worker, progress.attempts, failure))


def status(state: RunState, key: str) -> str:
    return state.progress[key].status


# Order


def test_a_task_runs_only_after_all_its_parents(run_state):
    state = run_state(diamond())
    assert [d.task for d in join(state, "a", "b")] == ["top"]
    assert {d.task for d in dispatches(finish(state, "top"))} == {"left", "right"}
    assert dispatches(finish(state, "left")) == []
    assert [d.task for d in dispatches(finish(state, "right"))] == ["bottom"]
    finish(state, "bottom")
    assert state.finished


def test_the_journal_has_a_result_before_anything_that_follows_from_it(run_state):
    state = run_state(chain(2))
    join(state, "a")
    assert events(finish(state, "s0")) == ["done", "dispatch", "Dispatch"]


def test_a_parent_that_is_not_in_the_run_counts_as_present(run_state):
    state = run_state([make_task("s0", parents=["cached"])])
    assert [d.task for d in join(state, "a")] == ["s0"]


def test_a_task_done_before_is_counted_and_not_run_again(run_state):
    state = run_state(chain(2), done={"s0"})
    assert [d.task for d in join(state, "a")] == ["s1"]
    assert state.counts()["generate"]["done"] == 1


def test_a_parent_named_twice_is_waited_for_once(run_state):
    state = run_state([make_task("s0"), make_task("s1", parents=["s0", "s0"])])
    join(state, "a")
    assert [d.task for d in dispatches(finish(state, "s0"))] == ["s1"]


def test_longest_remaining_chain_goes_first_and_ties_follow_the_plan(run_state):
    tasks = [make_task("lone0"), make_task("lone1"), make_task("head"), make_task("tail", parents=["head"])]
    state = run_state(tasks)
    order = [join(state, "a")[0].task]
    while given := dispatches(finish(state, order[-1])):
        order.append(given[0].task)
    assert order == ["head", "lone0", "lone1", "tail"]


def test_weights_decide_which_chain_is_long(run_state):
    tasks = [make_task("short", "decode"), make_task("long", "generate")]
    assert join(run_state(tasks), "a")[0].task == "short"
    assert join(run_state(tasks, weights={"generate": 60.0}), "a")[0].task == "long"


def test_a_worker_stays_with_its_loaded_stage_even_when_a_longer_chain_is_ready(run_state):
    head = make_task("head", "decode")
    state = run_state([head, make_task("d1", "decode", parents=["head"]), *chain(3)], weights={"decode": 2.0})
    assert join(state, "a")[0].task == "head"  # 4 against 3
    assert dispatches(finish(state, "head"))[0].task == "d1"  # loaded, 2 against 3


def test_a_worker_whose_parts_all_stay_takes_the_most_urgent_task_whatever_it_did_last(run_state):
    head = make_task("head", "decode")
    state = run_state([head, make_task("d1", "decode", parents=["head"]), *chain(3)], weights={"decode": 2.0})
    assert join(state, "a", offload="none")[0].task == "head"
    assert dispatches(finish(state, "head"))[0].task == "s0"


def test_what_can_wait_goes_in_the_order_of_the_plan_and_one_video_is_finished_after_another(run_state):
    tasks = [task for idx in range(20) for task in video_tasks(f"v{idx}")]
    state = run_state(tasks)
    order = [join(state, "a", offload="none")[0].task]
    while given := dispatches(finish(state, order[-1])):
        order.append(given[0].task)
    num_tasks = len(video_tasks("v0"))
    assert set(order[:num_tasks]) == {task.key for task in video_tasks("v0")}
    assert len(order) == len(tasks)


def test_tasks_of_a_higher_level_go_before_all_others_also_when_they_come_up_later(run_state):
    tasks = [*video_tasks("slow"), *video_tasks("soon")]
    levels = {task.key: 1 for task in video_tasks("soon")}
    state = run_state(tasks, levels=levels)
    order = [join(state, "a", offload="none")[0].task]
    while given := dispatches(finish(state, order[-1])):
        order.append(given[0].task)
    assert set(order[: len(levels)]) == set(levels)


def test_a_task_goes_to_the_idle_worker_that_has_its_stage_loaded(run_state):
    state = run_state([*chain(2), *independent(0), make_task("other", "decode")])
    assert [d.task for d in join(state, "a", "b")] == ["s0", "other"]
    finish(state, "other")
    given = dispatches(finish(state, "s0"))
    assert [(d.task, d.worker) for d in given] == [("s1", "a")]


def test_a_worker_without_work_of_its_loaded_stage_takes_another_stage(run_state):
    state = run_state([make_task("s0", "decode"), make_task("s1", "generate")])
    join(state, "a")
    assert dispatches(finish(state, "s0"))[0].task == "s1"


def test_a_versatile_worker_stays_free_when_a_specialist_is_idle(run_state):
    state = run_state([make_task("root", "text_encode"), make_task("s0", parents=["root"])])
    join(state, "all")
    join(state, "one", stages=("generate",))
    assert dispatches(finish(state, "root"))[0].worker == "one"


def test_a_worker_only_gets_stages_it_has(run_state):
    state = run_state(independent(1, "refine"))
    assert join(state, "a", stages=("generate", "decode")) == []
    assert join(state, "b", stages=("refine",))[0].worker == "b"


def test_a_worker_runs_one_task_at_a_time(run_state):
    state = run_state(independent(3))
    assert len(join(state, "a")) == 1
    assert len(dispatches(finish(state, "s0"))) == 1


# Late answers


def test_a_late_answer_from_an_abandoned_attempt_changes_nothing(run_state):
    state = run_state(chain(1))
    join(state, "gpu0")
    state.handle(WorkerLost(1.0, "gpu0"))
    join(state, "gpu0", at=2.0)  # same name, new process
    assert state.handle(TaskDone(3.0, "s0", "gpu0", 1, Done("s0", "late", 1))) == []
    assert state.handle(TaskFailed(3.0, "s0", "gpu0", 1, LOST_GPU)) == []
    assert state.handle(TaskCancelled(3.0, "s0", "gpu0", 1)) == []
    assert (status(state, "s0"), state.progress["s0"].attempts) == ("running", 2)


def test_the_same_answer_twice_counts_once(run_state):
    state = run_state(chain(2))
    join(state, "a")
    finish(state, "s0")
    assert state.handle(TaskDone(2.0, "s0", "a", 1, Done("s0", "digest", 1))) == []
    assert status(state, "s1") == "running"


def test_an_answer_with_another_workers_name_changes_nothing(run_state):
    state = run_state(chain(1))
    join(state, "a", "b")
    assert state.handle(TaskDone(1.0, "s0", "b", 1, Done("s0", "digest", 1))) == []
    assert state.handle(TaskDone(1.0, "unknown", "b", 1, Done("unknown", "digest", 1))) == []
    assert status(state, "s0") == "running"


def test_events_of_unknown_workers_change_nothing(run_state):
    state = run_state(chain(1))
    assert state.handle(WorkerLost(0.0, "ghost")) == []
    assert state.handle(WorkerDraining(0.0, "ghost")) == []


def test_attempt_numbers_are_never_reused(run_state):
    state = run_state(chain(1))
    numbers = []
    for at in range(5):
        numbers.append(join(state, "a", at=at)[0].attempt)
        state.handle(WorkerLost(at + 0.5, "a", "node"))
    assert numbers == [1, 2, 3, 4, 5]


def test_a_worker_that_joins_under_a_living_name_gives_the_old_ones_task_up_without_blame(run_state):
    state = run_state(chain(1))
    join(state, "a")
    assert [d.attempt for d in join(state, "a", at=1.0)] == [2]
    assert state.progress["s0"].deaths == ()


# Failures


def test_a_failed_task_is_tried_on_another_worker(run_state):
    state = run_state(chain(1))
    join(state, "a", "b")
    assert [(d.worker, d.attempt) for d in dispatches(fail(state, "s0"))] == [("b", 2)]


def test_a_failed_task_waits_for_a_busy_worker_that_has_not_tried_it(run_state):
    state = run_state(independent(2))
    join(state, "a", "b")
    assert dispatches(fail(state, "s0")) == []
    assert [(d.task, d.worker) for d in dispatches(finish(state, "s1"))] == [("s0", "b")]


def test_a_task_that_waits_for_an_untried_worker_goes_back_when_that_worker_is_lost(run_state):
    state = run_state(independent(2))
    join(state, "a", "b")
    fail(state, "s0")
    given = dispatches(state.handle(WorkerLost(2.0, "b", "node")))
    assert [d.worker for d in given] == ["a"]


def test_a_waiting_retry_does_not_keep_its_worker_from_other_tasks(run_state):
    state = run_state(independent(3))
    join(state, "a", "b")
    assert [(d.task, d.worker) for d in dispatches(fail(state, "s0"))] == [("s2", "a")]


def test_three_failures_on_two_workers_fail_a_task_and_block_its_descendants(run_state):
    state = run_state([*chain(3), make_task("other")])
    join(state, "a", "b")
    fail(state, "s0")
    finish(state, "other")
    fail(state, "s0", at=2.0)
    out = fail(state, "s0", at=3.0)
    assert events(out)[:3] == ["failure", "failed", "blocked"]
    assert [status(state, key) for key in ("s0", "s1", "s2", "other")] == ["failed", "blocked", "blocked", "done"]
    assert state.progress["s0"].cause == "failed 3 times on a, b, last with OutOfMemory: no memory"
    assert state.progress["s2"].cause == "needs s0 generate, which failed"
    assert state.finished


def test_three_failures_on_the_only_worker_fail_a_task(run_state):
    state = run_state(chain(1))
    join(state, "a")
    for at in range(3):
        assert status(state, "s0") == "running"
        fail(state, "s0", at=at)
    assert (status(state, "s0"), state.progress["s0"].attempts) == ("failed", 3)


def test_three_failures_on_one_worker_are_not_final_while_another_is_able(run_state):
    state = run_state(chain(1))
    join(state, "a")
    fail(state, "s0")
    fail(state, "s0")
    state.handle(WorkerJoined(2.0, "b", frozenset(STAGES)))
    assert [d.worker for d in dispatches(fail(state, "s0"))] == ["b"]
    fail(state, "s0")
    assert status(state, "s0") == "failed"


def test_a_failure_that_is_not_retryable_is_final_at_once(run_state):
    state = run_state(chain(2))
    join(state, "a", "b")
    fail(state, "s0", BAD_INPUT)
    assert (status(state, "s0"), state.progress["s0"].attempts) == ("failed", 1)
    assert state.progress["s0"].cause == "PlanError: bad input"
    assert status(state, "s1") == "blocked"


def test_a_descendant_is_blocked_once_even_below_two_failed_tasks(run_state):
    state = run_state([make_task("l"), make_task("r"), make_task("end", parents=["l", "r"])])
    join(state, "a", "b")
    fail(state, "l", BAD_INPUT)
    fail(state, "r", BAD_INPUT)
    assert state.counts()["generate"]["blocked"] == 1
    assert [change.status for change in state.story("end")] == ["blocked"]


def test_a_sibling_that_finishes_later_does_not_wake_a_blocked_task(run_state):
    state = run_state([make_task("l"), make_task("r"), make_task("end", parents=["l", "r"])])
    join(state, "a", "b")
    fail(state, "l", BAD_INPUT)
    finish(state, "r")
    assert status(state, "end") == "blocked"


def test_three_deaths_under_a_task_fail_it(run_state):
    state = run_state(chain(1))
    for at in range(3):
        join(state, f"w{at}", at=at)
        state.handle(WorkerLost(at + 0.5, f"w{at}", "death"))
    assert status(state, "s0") == "failed"
    assert state.progress["s0"].cause == "3 workers died under it: w0, w1, w2"


@pytest.mark.parametrize("cause", ["node", "drain"])
def test_node_loss_and_drain_never_count_against_a_task(run_state, cause):
    state = run_state(chain(1))
    for at in range(10):
        join(state, f"w{at}", at=at)
        state.handle(WorkerLost(at + 0.5, f"w{at}", cause))
    assert status(state, "s0") == "ready"
    assert state.progress["s0"].deaths == ()


def test_losing_the_node_of_the_last_retry_does_not_fail_the_task(run_state):
    state = run_state(chain(1))
    join(state, "a")
    fail(state, "s0")
    fail(state, "s0")
    state.handle(WorkerJoined(2.0, "b", frozenset(STAGES)))
    fail(state, "s0")  # three failures on a, now at b
    given = dispatches(state.handle(WorkerLost(3.0, "b", "node")))
    assert [d.worker for d in given] == ["a"]


def test_a_cancelled_attempt_never_counts_and_is_tried_again(run_state):
    state = run_state(chain(1))
    join(state, "a")
    for attempt in range(1, 6):
        state.handle(TaskCancelled(float(attempt), "s0", "a", attempt))
    assert (status(state, "s0"), state.progress["s0"].attempts) == ("running", 6)


def test_cancelling_the_last_retry_does_not_fail_the_task(run_state):
    state = run_state(chain(1))
    join(state, "a")
    fail(state, "s0")
    fail(state, "s0")
    state.handle(WorkerJoined(2.0, "b", frozenset(STAGES)))
    fail(state, "s0")  # three failures on a, now at b
    state.handle(WorkerDraining(3.0, "b"))
    given = dispatches(state.handle(TaskCancelled(4.0, "s0", "b", 4)))
    assert [d.worker for d in given] == ["a"]


def test_a_task_that_killed_a_worker_goes_to_another_name_first(run_state):
    state = run_state(independent(2))
    join(state, "a", "b")
    state.handle(WorkerLost(1.0, "a", "death"))
    assert dispatches(state.handle(WorkerJoined(2.0, "a", frozenset(STAGES)))) == []
    assert [(d.task, d.worker) for d in dispatches(finish(state, "s1"))] == [("s0", "b")]


# Workers


def test_a_worker_that_fails_three_tasks_alone_is_quarantined(run_state):
    state = run_state(independent(9))
    join(state, "bad", "good")
    for _ in range(2):
        key = state.fleet.workers["bad"].task
        assert not [i for i in fail(state, key) if isinstance(i, Retire)]
    out = fail(state, state.fleet.workers["bad"].task)
    assert Retire("bad", "failed 3 different tasks that no other worker failed") in out
    assert "quarantine" in events(out)
    assert state.fleet.workers["bad"].task is None
    assert [d.worker for d in dispatches(out)] == []


def test_a_quarantined_worker_that_joins_again_starts_afresh(run_state):
    state = run_state(independent(9))
    join(state, "bad", "good")
    for _ in range(3):
        fail(state, state.fleet.workers["bad"].task)
    state.handle(WorkerLost(2.0, "bad", "drain"))
    key = join(state, "bad", at=3.0)[0].task
    assert not [i for i in fail(state, key) if isinstance(i, Retire)]


def test_a_task_that_fails_everywhere_is_held_against_no_worker(run_state):
    state = run_state(independent(12), limits=Limits(stage_failures=99))
    join(state, "a", "b")
    finish(state, "s1")
    for _ in range(200):
        if state.finished:
            break
        key = next(iter(state.board.running))
        if key in ("s3", "s4", "s5", "s6"):
            assert not [i for i in fail(state, key) if isinstance(i, Retire)]
        else:
            finish(state, key)
    assert state.total("failed") == 4
    assert state.strikes.get("a", set()) | state.strikes.get("b", set()) == set()


def test_failing_one_task_three_times_does_not_quarantine(run_state):
    state = run_state([make_task("s0"), make_task("x", "decode")])
    join(state, "a", stages=("generate",))
    join(state, "b", stages=("decode",))
    for _ in range(3):
        assert not [i for i in fail(state, "s0") if isinstance(i, Retire)]


def test_the_last_worker_of_a_stage_with_work_is_never_quarantined(run_state):
    state = run_state(independent(9))
    join(state, "bad")
    join(state, "elsewhere", stages=("decode",))
    for _ in range(7):
        assert not [i for i in fail(state, state.fleet.workers["bad"].task) if isinstance(i, Retire)]
    join(state, "good")
    assert [i for i in fail(state, state.fleet.workers["bad"].task) if isinstance(i, Retire)]


def test_input_that_is_bad_everywhere_is_not_held_against_the_worker(run_state):
    state = run_state(independent(9), done={"s8"})
    join(state, "a", "b")
    for _ in range(4):
        assert not [i for i in fail(state, state.fleet.workers["a"].task, BAD_INPUT) if isinstance(i, Retire)]


def test_a_draining_worker_finishes_its_task_gets_no_other_and_is_retired(run_state):
    state = run_state(independent(2))
    join(state, "a")
    assert events(state.handle(WorkerDraining(1.0, "a"))) == ["worker_draining"]
    out = finish(state, "s0")
    assert Retire("a", "drained") in out
    assert dispatches(out) == []


def test_an_idle_worker_that_drains_is_retired_at_once_and_once(run_state):
    state = run_state(chain(1))
    join(state, "a", "b")
    assert Retire("b", "drained") in state.handle(WorkerDraining(1.0, "b"))
    assert state.handle(WorkerDraining(1.0, "b")) == []


def test_a_failed_task_does_not_wait_for_a_draining_worker(run_state):
    state = run_state(independent(2))
    join(state, "a", "b")
    state.handle(WorkerDraining(1.0, "b"))
    assert [d.worker for d in dispatches(fail(state, "s0"))] == ["a"]


# Giving up


def test_when_every_task_of_a_stage_fails_the_run_gives_up(run_state):
    state = run_state([*independent(9), make_task("end", "stitch", parents=["s8"])])
    join(state, "a")
    for _ in range(8):
        out = fail(state, state.fleet.workers["a"].task)
    assert not [i for i in out if isinstance(i, GiveUp)]
    out = fail(state, state.fleet.workers["a"].task)
    assert events(out)[-2:] == ["give_up", "GiveUp"]
    assert state.gave_up.startswith("all 3 generate tasks tried so far failed; the first: failed 3 times on a")
    assert state.finished
    assert (state.total("failed"), state.total("blocked")) == (3, 7)


def test_one_success_in_a_stage_keeps_the_run_going(run_state):
    state = run_state(independent(9))
    join(state, "a")
    finish(state, "s0")
    for _ in range(6):
        fail(state, state.fleet.workers["a"].task, BAD_INPUT)
    assert state.gave_up is None
    assert status(state, "s7") == "running"


def test_lost_inputs_are_no_reason_to_doubt_a_stage(run_state):
    state = run_state(independent(9))
    join(state, "a")
    for _ in range(8):
        fail(state, state.fleet.workers["a"].task, LOST_INPUT)
    assert (state.gave_up, state.total("running")) == (None, 1)


def test_a_doubted_stage_waits_for_what_it_began_before_the_run_gives_up(run_state):
    state = run_state(independent(9))
    join(state, "a", "b")
    for key in ("s0", "s2", "s3"):
        out = fail(state, key, BAD_INPUT)
    assert dispatches(out) == []  # s1 still runs on b: nothing new until it tells
    assert state.gave_up is None
    assert len(dispatches(finish(state, "s1"))) == 2
    assert state.gave_up is None


def test_a_doubted_stage_with_a_retry_due_waits_for_a_worker(run_state):
    state = run_state(independent(9))
    join(state, "a", "b")
    for key in ("s0", "s2", "s3"):
        fail(state, key, BAD_INPUT)
    join(state, "c", stages=("decode",))
    state.handle(WorkerLost(2.0, "a", "node"))
    state.handle(WorkerLost(2.0, "b", "node"))
    assert (state.gave_up, state.starved) == (None, True)
    assert [d.task for d in join(state, "d", at=3.0)] == ["s1"]


def test_a_stage_that_failed_to_its_last_task_does_not_stop_the_others(run_state):
    state = run_state([*independent(3), make_task("d0", "decode"), make_task("d1", "decode")])
    join(state, "a", stages=("generate",))
    join(state, "b", stages=("decode",))
    for key in ("s0", "s1", "s2"):
        fail(state, key, BAD_INPUT)
    assert state.gave_up is None
    assert [d.task for d in dispatches(finish(state, "d0"))] == ["d1"]


def test_a_doubted_stage_does_not_stop_the_others_meanwhile(run_state):
    state = run_state([*independent(5), *(make_task(f"d{idx}", "decode") for idx in range(3))])
    join(state, "a", "b", stages=("generate",))
    join(state, "c", stages=("decode",))
    for key in ("s0", "s2", "s3"):
        fail(state, key, BAD_INPUT)
    assert [d.task for d in dispatches(finish(state, "d0"))] == ["d1"]


def test_what_runs_when_the_run_gives_up_may_end(run_state):
    end = make_task("end", "stitch", parents=["d0"])
    state = run_state([*independent(4), make_task("d0", "decode"), make_task("d1", "decode"), end])
    join(state, "a", stages=("generate",))
    join(state, "b", "c", stages=("decode",))
    for key in ("s0", "s1", "s2"):
        fail(state, key, BAD_INPUT)
    assert state.gave_up and not state.finished
    finish(state, "d0")
    fail(state, "d1")
    assert [status(state, key) for key in ("d0", "d1", "end")] == ["done", "blocked", "blocked"]
    assert state.finished


def test_without_workers_the_run_gives_up_after_the_timeout(run_state):
    state = run_state(chain(2), limits=Limits(no_worker_timeout_s=30.0))
    assert state.handle(Tick(100.0)) == []
    assert state.starved
    assert state.handle(Tick(129.9)) == []
    out = state.handle(Tick(130.0))
    assert out[-1] == GiveUp("no worker able to generate for 30 s; start one, then render again to go on")
    assert state.finished


def test_a_machine_whose_workers_come_up_restarts_the_timeout(run_state):
    state = run_state(chain(2), limits=Limits(no_worker_timeout_s=30.0))
    state.handle(Tick(100.0))
    assert state.handle(WorkersComing(129.0, "node")) == []
    assert state.handle(Tick(158.9)) == [] and state.starved
    assert isinstance(state.handle(Tick(159.0))[-1], GiveUp)


def test_a_worker_that_comes_in_time_restarts_the_timeout(run_state):
    state = run_state(chain(1), limits=Limits(no_worker_timeout_s=30.0))
    state.handle(Tick(0.0))
    join(state, "a", at=29.0)
    assert not state.starved
    state.handle(WorkerLost(40.0, "a", "node"))
    assert state.handle(Tick(60.0)) == []
    assert state.handle(Tick(70.0)) != []


def test_a_worker_for_another_stage_does_not_end_the_wait(run_state):
    state = run_state(chain(1), limits=Limits(no_worker_timeout_s=30.0))
    state.handle(Tick(0.0))
    join(state, "a", stages=("decode",), at=20.0)
    assert [type(i) for i in state.handle(Tick(30.0))] == [JournalEntry, GiveUp]


def test_without_a_timeout_the_run_waits_for_workers_forever(run_state):
    state = run_state(chain(1))
    state.handle(Tick(0.0))
    assert state.handle(Tick(1e9)) == []
    assert join(state, "a", at=1e9) != []


# Cancel


def test_cancel_drains_what_runs_and_starts_nothing_more(run_state):
    state = run_state(independent(3))
    join(state, "a")
    assert events(state.handle(CancelRequested(1.0))) == ["cancel"]
    assert not state.finished
    assert dispatches(finish(state, "s0")) == []
    assert state.finished
    assert state.counts()["generate"] == {
        "waiting": 0, "ready": 2, "running": 0, "done": 1, "failed": 0, "blocked": 0,
    }  # fmt: skip


def test_the_second_cancel_gives_running_attempts_up(run_state):
    state = run_state(independent(3))
    join(state, "a", "b")
    state.handle(CancelRequested(1.0))
    out = state.handle(CancelRequested(2.0, now=True))
    assert [i for i in out if isinstance(i, CancelAttempt)] == [
        CancelAttempt("s0", "a", 1),
        CancelAttempt("s1", "b", 1),
    ]
    state.handle(TaskCancelled(3.0, "s0", "a", 1))
    finish(state, "s1")  # it was faster than the request
    assert state.finished
    assert (status(state, "s0"), status(state, "s1")) == ("ready", "done")


def test_a_worker_that_joins_after_cancel_gets_nothing(run_state):
    state = run_state(independent(3))
    state.handle(CancelRequested(1.0))
    assert join(state, "a", at=2.0) == []
    assert state.finished


# What can be asked


def test_a_run_without_tasks_is_finished(run_state):
    assert run_state([]).finished


def test_counts_follow_every_change(run_state):
    state = run_state(video_tasks("x"))
    join(state, "a")
    finish(state, "x/text_encode")
    counts = state.counts()
    assert counts["text_encode"]["done"] == counts["generate"]["running"] == 1
    assert counts["decode"]["waiting"] == 2
    assert state.total("waiting") == 6


def test_a_story_tells_every_change_with_time_and_cause(run_state):
    state = run_state(chain(1))
    join(state, "a", at=5.0)
    fail(state, "s0", at=6.0)
    finish(state, "s0", at=9.0)
    assert [str(change) for change in state.story("s0")] == [
        "0.0 s ready (every parent is present)",
        "5.0 s running (attempt 1 on a)",
        "6.0 s ready (attempt 1 on a failed: OutOfMemory: no memory)",
        "6.0 s running (attempt 2 on a)",
        "9.0 s done (attempt 2 on a)",
    ]


def test_running_tasks_are_listed_longest_running_first(run_state):
    state = run_state(independent(3))
    join(state, "a", at=1.0)
    join(state, "b", at=2.0)
    finish(state, "s0", at=3.0)
    assert [(row.task, row.worker, row.started_at) for row in state.running_tasks()] == [
        ("s1", "b", 2.0),
        ("s2", "a", 3.0),
    ]


def test_progress_keeps_the_result_and_the_times(run_state):
    state = run_state(chain(1))
    join(state, "a", at=1.0)
    finish(state, "s0", at=4.0)
    progress = state.progress["s0"]
    assert (progress.started_at, progress.ended_at, progress.done.digest) == (1.0, 4.0, "digest")


def test_waiting_for_a_worker_is_not_being_stuck(run_state):
    state = run_state(chain(1))
    join(state, "a", stages=("decode",))
    assert state.stuck is None


def test_the_impossible_is_told_as_a_bug_with_the_story():
    state = RunState(chain(1))
    state.handle(WorkerJoined(0.0, "a", frozenset(STAGES)))
    del state.board.running["s0"]
    state.fleet.release("a")
    state.board.make_ready("s0", 1.0, "by mistake")
    assert state.stuck == (
        "stuck, this is a bug: s0 generate: 0.0 s ready (every parent is present); "
        "0.0 s running (attempt 1 on a); 1.0 s ready (by mistake)"
    )


def test_two_tasks_with_one_key_are_refused():
    with pytest.raises(ValueError, match="1 tasks share a key with another one"):
        RunState([make_task("s0"), make_task("s0")])


# Faults of the storage


def test_after_the_first_unusable_store_nothing_is_dispatched_and_what_runs_may_end(run_state):
    state = run_state(independent(6))
    join(state, "a", "b")
    out = fail(state, "s0", FULL)
    assert events(out) == ["failure", "give_up", "GiveUp"]
    assert (state.store_fault, state.gave_up, state.finished) == ("no space left", "no space left", False)
    assert dispatches(finish(state, "s1")) == []
    assert status(state, "s1") == "done" and state.finished


def test_a_task_whose_storage_failed_is_not_to_blame(run_state):
    state = run_state([*chain(2), make_task("other")])
    join(state, "a")
    fail(state, "s0", FULL)
    assert [status(state, key) for key in ("s0", "s1", "other")] == ["blocked"] * 3
    assert state.total("failed") == 0 and not state.progress["s0"].failures and not state.strikes


def test_the_store_may_fail_elsewhere_than_under_a_task(run_state):
    state = run_state(independent(4))
    join(state, "a", "b")
    assert events(state.handle(StoreFailed(1.0, "the journal cannot be written"))) == ["give_up", "GiveUp"]
    assert dispatches(finish(state, "s0")) == [] and not state.finished
    fail(state, "s1", FULL)
    assert state.finished and state.total("blocked") == 3
    assert state.store_fault == "the journal cannot be written", "the first reason stands"


def test_a_store_that_fails_while_a_run_is_stopped_is_told_as_well(run_state):
    state = run_state(independent(2))
    join(state, "a")
    state.handle(CancelRequested(0.5))
    fail(state, "s0", FULL)
    assert state.finished and state.store_fault == "no space left"


def test_a_store_that_may_answer_later_is_tried_again(run_state):
    state = run_state(independent(1))
    join(state, "a", "b")
    (again,) = dispatches(fail(state, "s0", RESET))
    assert again.task == "s0" and state.store_fault is None
