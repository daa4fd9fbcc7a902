"""What must hold between any two events. Looks at everything, so it is for tests."""

from __future__ import annotations

from collections import Counter

from ltx_ray.engine.state import RunState
from ltx_ray.engine.story import STATUSES
from ltx_ray.spec.task import STAGES


def check(state: RunState) -> None:
    """Raise AssertionError naming the first task or worker that contradicts another part of the state."""
    for key in state.tasks:
        _check_task(state, key)
    _check_indices(state)
    _check_workers(state)
    state.fleet.check()
    assert state.stuck is None, state.stuck
    if state.gave_up is not None:
        assert not state.board.unstarted(), "gave up with tasks left unblocked"
    assert not (state.starved and state.board.running), "starved while tasks run"


def _check_task(state: RunState, key: str) -> None:
    progress = state.progress[key]
    parents = {parent.key for parent in state.tasks[key].parents} & state.tasks.keys()
    missing = {parent for parent in parents if state.progress[parent].status != "done"}
    lost = {parent for parent in parents if state.progress[parent].status in ("failed", "blocked")}
    status = progress.status
    assert progress.num_missing == len(missing), f"{key} misses {len(missing)}, says {progress.num_missing}"
    if status in ("ready", "running", "failed"):
        assert not missing, f"{key} is {status} before its parents"
    if status == "waiting":
        assert missing, f"{key} waits for nothing"
        assert not lost, f"{key} waits for {lost}, which will not come"
    if status == "blocked":
        assert lost or state.gave_up is not None or key in state.cancelled, f"{key} is blocked by nothing"
    assert (status == "running") == (progress.worker is not None), f"{key} is {status} at {progress.worker}"
    assert (status in ("done", "failed", "blocked")) == (progress.ended_at is not None), f"{key} ended"
    assert (progress.done is not None) <= (status == "done"), f"{key} is {status} with a result"
    assert (status in ("failed", "blocked")) == bool(progress.cause), f"{key} is {status} because {progress.cause!r}"
    assert (status == "failed") == (progress.failed_by is not None), f"{key} is {status} by {progress.failed_by}"
    is_out = progress.worker is not None
    assert len(progress.failures) + len(progress.deaths) + is_out <= progress.attempts, f"{key} counts attempts"
    if progress.changes:
        assert progress.changes[-1].status == status, f"the story of {key} ends elsewhere"


def _check_indices(state: RunState) -> None:
    board = state.board
    standing = Counter((state.tasks[key].stage, progress.status) for key, progress in state.progress.items())
    for stage in STAGES:
        for status in STATUSES:
            assert board.counts[stage][status] == standing[stage, status], f"count of {status} {stage}"
    totals = Counter(progress.status for progress in state.progress.values())
    assert board.totals == {status: totals[status] for status in STATUSES}, "totals"
    queued, ready = board.ready.tasks(), [k for k, p in state.progress.items() if p.status == "ready"]
    assert sorted(queued) == sorted(ready), "the queue does not hold the ready tasks"
    assert set(board.running) == {k for k, p in state.progress.items() if p.status == "running"}, "running"


def _check_workers(state: RunState) -> None:
    seats = {worker.task: name for name, worker in state.fleet.workers.items() if worker.task is not None}
    assert seats == {key: state.progress[key].worker for key in state.board.running}, "workers and tasks disagree"
    assert not any(worker.is_open and worker.is_doomed for worker in state.fleet.workers.values()), "doomed but open"
    for key, name in seats.items():
        assert state.tasks[key].stage in state.fleet.workers[name].stages, f"{name} cannot do {key}"
