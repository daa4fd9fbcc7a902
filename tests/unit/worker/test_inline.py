"""A plan in this very process can be stopped wherever it is, and tells what it said."""

from __future__ import annotations

import logging
import signal
import sys
import time

import pytest

from ltx_ray.errors import Cancelled
from ltx_ray.models.catalog import BUILT_IN
from ltx_ray.models.load import Loaded
from ltx_ray.spec.events import TaskCancelled, TaskDone, TaskFailed, WorkerJoined, WorkerLost
from ltx_ray.store.open import open_store
from ltx_ray.worker import inline
from ltx_ray.worker.inline import WORKER, InlinePool
from tests.fakes import make_task

TASK = make_task("t", "text_encode")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs one task whose work is the given function of its control; returns the event."""

    def run(work, should_stop=lambda: False):
        def execute(task, store, control, models):
            work(control)
            raise AssertionError("the work was to end otherwise")

        monkeypatch.setattr("ltx_ray.worker.execute.execute", execute)
        pool = InlinePool(open_store(tmp_path / "store"), Loaded(BUILT_IN), should_stop)
        pool.start()
        assert isinstance(pool.events(0.0)[0], WorkerJoined)
        pool.submit(TASK, WORKER, 1)
        (event,) = pool.events(0.0)
        return event

    return run


def test_a_stage_with_steps_stops_at_the_next_one(run):
    event = run(lambda control: control.step(0, 2), should_stop=lambda: True)
    assert isinstance(event, TaskCancelled)


def test_a_stage_without_steps_is_stopped_wherever_it_is(run, monkeypatch):
    monkeypatch.setattr(inline, "STOP_GRACE_S", 0.0)
    monkeypatch.setattr(inline, "LOOK_EVERY_S", 0.01)
    begun = time.monotonic()
    event = run(lambda control: time.sleep(60.0), should_stop=lambda: True)
    assert isinstance(event, TaskCancelled) and time.monotonic() - begun < 10.0


def test_the_alarm_clock_is_given_back(run):
    def ring(number, frame):
        raise AssertionError

    before = signal.signal(signal.SIGALRM, ring)
    try:
        run(lambda control: 1 / 0)
        assert signal.getsignal(signal.SIGALRM) is ring
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_failure_tells_what_was_said_before_it(run, capsys):
    def work(control):
        print("opening s3://id:secret@bucket", file=sys.stderr)
        raise ValueError("no")

    event = run(work)
    assert isinstance(event, TaskFailed)
    assert event.failure.log == ("opening s3://***@bucket",)
    assert "ValueError: no" in event.failure.traceback
    assert "opening s3://id:secret@bucket" in capsys.readouterr().err


def test_what_is_logged_is_told_too(run):
    def work(control):
        logging.getLogger("some.library").warning("weights are odd")
        raise ValueError("no")

    assert "weights are odd" in run(work).failure.log


def test_a_worker_that_must_be_replaced_frees_what_it_holds_and_goes_on(tmp_path):
    pool = InlinePool(open_store(tmp_path / "store"), Loaded(BUILT_IN), lambda: False)
    pool.start()
    pool.events(0.0)
    pool.kill(WORKER, "replaced")
    lost, joined = pool.events(0.0)
    assert isinstance(lost, WorkerLost) and lost.cause == "replaced" and isinstance(joined, WorkerJoined)


def test_cancelled_and_done_are_told_apart(run):
    def stop(control):
        raise Cancelled

    assert isinstance(run(stop), TaskCancelled) and not isinstance(run(stop), TaskDone)
