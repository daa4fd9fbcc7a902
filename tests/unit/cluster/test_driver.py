"""The loop translates and orders: durable records first, then what they allow; signals become requests."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter

import pytest

from ltx_ray.cluster.driver import StopSignals, drive
from ltx_ray.engine import invariants
from ltx_ray.engine.retry import Limits
from ltx_ray.engine.state import RunState
from ltx_ray.errors import StoreUnusable
from ltx_ray.spec.events import Done, TaskCancelled, TaskDone, TasksCancelled, WorkerJoined, WorkerLost
from ltx_ray.spec.task import STAGES
from tests.fakes import chain, independent


class ScriptedPool:
    """A pool of one worker that finishes whatever it was given, one task a turn, and logs every call."""

    def __init__(self, log, on_submit=lambda: None):
        self.log, self.on_submit = log, on_submit
        self.waiting = []
        self.is_new = True
        self.cancelled = set()
        self.never_ends = False
        self.lost = []

    def start(self):
        self.log.append("start")

    def submit(self, task, worker, attempt):
        self.log.append(f"submit {task.key}")
        self.waiting.append((task.key, worker, attempt))
        self.on_submit()

    def cancel(self, task, worker, attempt):
        self.log.append(f"cancel {task}")
        self.cancelled.add(task)

    def retire(self, worker):
        self.log.append(f"retire {worker}")

    def kill(self, worker, cause):
        self.log.append(f"kill {worker}: {cause}")
        self.waiting.clear()
        self.lost = [
            WorkerLost(time.monotonic(), worker, cause),
            WorkerJoined(time.monotonic(), worker, frozenset(STAGES)),
        ]

    def events(self, timeout_s):
        if self.lost:
            lost, self.lost = self.lost, []
            return lost
        if self.is_new:
            self.is_new = False
            return [WorkerJoined(time.monotonic(), "w", frozenset(STAGES))]
        if self.never_ends or not self.waiting:
            return []
        key, worker, attempt = self.waiting.pop(0)
        if key in self.cancelled:
            return [TaskCancelled(time.monotonic(), key, worker, attempt)]
        return [TaskDone(time.monotonic(), key, worker, attempt, Done(key, "d", 1))]

    def stop(self):
        self.log.append("stop")


def run(tasks, *, on_submit=lambda: None, signals=None, never_ends=False, limits=None, requests=lambda: ()):
    log = []
    pool = ScriptedPool(log, on_submit)
    pool.never_ends = never_ends
    state = RunState(tasks, limits=limits)

    def record(records):
        log.extend(f"record {record.event} {getattr(record, 'task', '')}".strip() for record in records)

    quiet = signals or StopSignals()
    drive(state, pool, record=record, signals=quiet, on_turn=lambda state: None, requests=requests)
    invariants.check(state)
    return state, log


def test_a_chain_runs_to_its_end_and_the_pool_is_stopped():
    state, log = run(chain(3))
    assert state.total("done") == 3
    assert log[0] == "start" and log[-1] == "stop"


def test_every_record_is_durable_before_what_it_allows():
    _, log = run(chain(2))
    assert log.index("record dispatch s0") < log.index("submit s0")
    assert log.index("record done s0") < log.index("submit s1")


def test_an_error_in_recording_stops_the_pool_before_anything_is_dispatched():
    log = []
    pool = ScriptedPool(log)

    def record(records):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        drive(RunState(chain(1)), pool, record=record, signals=StopSignals(), on_turn=lambda state: None)
    assert log == ["start", "stop"]


def test_an_interrupt_stops_the_running_task_at_its_next_step_and_starts_no_other():
    signals = StopSignals()

    def interrupt():
        signals.num_signals += 1

    state, log = run(independent(3), on_submit=interrupt, signals=signals)
    assert [line for line in log if line.startswith("submit")] == ["submit s0"]
    assert "cancel s0" in log and state.total("done") == 0 and signals.exit_code == 130


def test_a_second_interrupt_waits_for_nothing():
    signals = StopSignals()

    def interrupt():
        signals.num_signals += 2

    state, log = run(independent(3), on_submit=interrupt, signals=signals, never_ends=True)
    assert log[-2:] == ["cancel s0", "stop"] and state.total("done") == 0


def test_a_task_that_ignores_its_cancel_is_left_after_the_grace(monkeypatch):
    monkeypatch.setattr("ltx_ray.cluster.driver.STOP_GRACE_S", 0.0)
    signals = StopSignals()
    signals.num_signals, signals.is_terminated = 1, True
    state, log = run(independent(1), signals=signals, never_ends=True)
    assert log[-1] == "stop" and signals.exit_code == 143
    assert state.total("done") == 0


def test_a_worker_that_hangs_is_killed_and_the_record_stands_before():
    state, log = run(chain(1), never_ends=True, limits=Limits(hang_s=0.0, deaths=2))
    assert state.total("failed") == 1
    assert log.index("record kill s0") < log.index("kill w: hang") and log.count("kill w: hang") == 2


def test_a_driver_that_was_stopped_hears_its_workers_before_it_judges_them(monkeypatch):
    monkeypatch.setattr("ltx_ray.cluster.driver.STALL_S", -1.0)
    signals = StopSignals()
    turns = iter(range(9))

    def requests():
        signals.num_signals = 2 * (next(turns) == 5)
        return []

    _, log = run(chain(1), never_ends=True, limits=Limits(hang_s=0.0), requests=requests, signals=signals)
    assert "submit s0" in log and not any(line.startswith("kill") for line in log)


def test_what_people_ask_for_is_obeyed_at_the_next_turn():
    asked = iter([[TasksCancelled(time.monotonic(), frozenset(["s1"]))]])
    state, log = run(independent(3), requests=lambda: next(asked, []))
    assert [line for line in log if line.startswith("submit")] == ["submit s0", "submit s2"]
    assert state.progress["s1"].cause == "cancelled" and state.total("done") == 2


def test_signals_are_noted_inside_the_block_and_given_back_after_it():
    before = signal.getsignal(signal.SIGINT)
    signals = StopSignals()
    with signals.installed():
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.is_set and not signals.at_once
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.at_once and signals.exit_code == 130
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.exit_code == 143
    assert signal.getsignal(signal.SIGINT) is before


FULL = StoreUnusable("journal.jsonl: no space left")


def drive_failing(*, at_record=None, at_request=None, at_turn=None, tasks=6, fault=FULL):
    """Drive independent tasks on one worker while the run's directory fails from the n-th call on; log and state."""
    log, calls = [], Counter()
    pool = ScriptedPool(log)
    state = RunState(independent(tasks))

    def failing(what, point):
        calls[what] += 1
        if point is not None and calls[what] >= point:
            raise fault

    def record(records):
        failing("record", at_record)
        log.extend(f"record {record.event} {getattr(record, 'task', '')}".strip() for record in records)

    def requests():
        failing("requests", at_request)
        return ()

    def on_turn(state):
        failing("turn", at_turn)

    with pytest.raises(StoreUnusable, match="no space left"):
        drive(state, pool, record=record, signals=StopSignals(), on_turn=on_turn, requests=requests)
    return log, state


def test_a_task_whose_dispatch_cannot_be_recorded_does_not_begin(caplog):
    log, state = drive_failing(at_record=1)
    assert caplog.messages == [], "nothing runs"
    assert [line for line in log if line.startswith("submit")] == []
    assert state.finished and log[-1] == "stop"


def test_when_the_journal_fails_what_runs_comes_to_its_end_and_nothing_more_begins():
    log, state = drive_failing(at_record=3)
    assert [line for line in log if line.startswith("submit")] == ["submit s0", "submit s1"]
    assert (state.total("done"), state.total("blocked")) == (2, 4)
    assert "record done s1" not in log and log[-1] == "stop"


@pytest.mark.parametrize("where", ["at_request", "at_turn"])
def test_a_run_directory_that_cannot_be_read_ends_the_run_as_well(where, caplog):
    log, state = drive_failing(**{where: 3})
    # By the time that a request failed, what ran has answered.
    assert caplog.messages == ([f"{FULL}; what runs comes to its end first"] if where == "at_turn" else [])
    assert state.finished and state.store_fault == str(FULL)
    assert len([line for line in log if line.startswith("submit")]) < 6
    assert log[-1] == "stop"


def test_no_secret_is_in_what_is_said_of_a_run_directory_that_fails(monkeypatch, caplog):
    monkeypatch.setenv("FARM_API_TOKEN", "tok-12345678")
    fault = StoreUnusable("s3://me:hunter2@farm/run: no space left for tok-12345678")
    _, state = drive_failing(at_turn=3, fault=fault)
    assert state.store_fault == state.gave_up == "s3://***@farm/run: no space left for ***"
    assert caplog.messages == [f"{state.store_fault}; what runs comes to its end first"]
    assert {progress.cause for progress in state.progress.values()} == {"", state.store_fault}


@pytest.fixture
def hangup():
    """Sets what becomes of a SIGHUP, and puts it back."""
    before = signal.getsignal(signal.SIGHUP)
    yield lambda handler: signal.signal(signal.SIGHUP, handler)
    signal.signal(signal.SIGHUP, before)


def test_a_terminal_that_closes_is_a_termination_however_often_it_says_so(hangup):
    hangup(signal.SIG_DFL)
    signals = StopSignals()
    with signals.installed():
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGHUP)
        assert signals.is_set and not signals.at_once and signals.exit_code == 143
    os.kill(os.getpid(), signal.SIGHUP)  # would end this process


def test_a_hangup_that_never_came_is_as_deadly_after_the_block_as_before(hangup):
    hangup(signal.SIG_DFL)
    with StopSignals().installed():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL


def test_a_hangup_that_is_ignored_stays_so(hangup):
    hangup(signal.SIG_IGN)
    signals = StopSignals()
    with signals.installed():
        os.kill(os.getpid(), signal.SIGHUP)
    assert not signals.is_set and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_a_hangup_stops_the_running_task_at_its_next_step(hangup):
    hangup(signal.SIG_DFL)
    signals = StopSignals()
    with signals.installed():
        state, log = run(independent(3), on_submit=lambda: os.kill(os.getpid(), signal.SIGHUP), signals=signals)
    assert [line for line in log if line.startswith("submit")] == ["submit s0"]
    assert "cancel s0" in log and state.total("done") == 0 and signals.exit_code == 143
