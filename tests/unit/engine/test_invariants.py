"""Each test breaks one thing by hand: a check that cannot fail proves nothing."""

from __future__ import annotations

import pytest

from ltx_ray.engine import invariants
from ltx_ray.engine.state import RunState
from ltx_ray.spec.events import WorkerJoined
from ltx_ray.spec.task import STAGES
from tests.fakes import diamond


@pytest.fixture
def state() -> RunState:
    state = RunState(diamond())
    state.handle(WorkerJoined(0.0, "a", frozenset(STAGES)))
    invariants.check(state)
    return state


def break_count(state: RunState) -> None:
    state.board.counts["generate"]["waiting"] += 1


def break_total(state: RunState) -> None:
    state.board.totals["waiting"] += 1


def break_missing(state: RunState) -> None:
    state.progress["bottom"].num_missing = 1


def break_status(state: RunState) -> None:
    state.progress["left"].status = "done"


def break_queue(state: RunState) -> None:
    state.board.ready.push("bottom", "generate", is_fresh=True)


def break_seat(state: RunState) -> None:
    state.fleet.workers["a"].task = "left"


def break_worker(state: RunState) -> None:
    state.progress["top"].worker = None


def break_running(state: RunState) -> None:
    state.board.running["left"] = None


def break_order(state: RunState) -> None:
    state.board.make_ready("left", 1.0, "by mistake")


def break_blocked(state: RunState) -> None:
    state.board.enter("bottom", "blocked", 1.0, "by mistake")


def break_failed(state: RunState) -> None:
    state.fleet.release("a")
    state.progress["top"].worker = None
    del state.board.running["top"]
    state.progress["top"].failed_by = "stage"
    state.board.enter("top", "failed", 1.0, "without blocking what needs it")


def break_cause(state: RunState) -> None:
    state.progress["top"].failed_by = "stage"


def break_attempts(state: RunState) -> None:
    state.progress["top"].deaths = ("x", "y")


def break_stages(state: RunState) -> None:
    state.fleet.workers["a"].stages = frozenset({"decode"})


def break_gave_up(state: RunState) -> None:
    state.gave_up = "by mistake"


@pytest.mark.parametrize(
    "damage",
    [
        break_count, break_total, break_missing, break_status, break_queue, break_seat, break_worker, break_running,
        break_order, break_blocked, break_failed, break_cause, break_attempts, break_stages, break_gave_up,
    ],
)  # fmt: skip
def test_check_sees_damage(state, damage):
    damage(state)
    with pytest.raises(AssertionError):
        invariants.check(state)
