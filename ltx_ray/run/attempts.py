"""What a journal says of the renders of a run, and of every attempt at its tasks. Reads records; knows no disk.

Times in a journal are seconds on the clock of the driver that wrote them; the record that begins a render holds that
clock and the wall clock side by side.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from ltx_ray.spec.events import Cause
from ltx_ray.spec.records import (
    Cancelled,
    Dispatch,
    Done,
    Dropped,
    End,
    Failed,
    Failure,
    Record,
    Render,
    VideoCancelled,
    WorkerLost,
)

#: Causes that lie in the storage alone: mended there, so the next render tries again by itself.
STORAGE_CAUSES: tuple[Cause, ...] = ("input_lost", "storage")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One dispatch of a task. Attempt numbers count from 1 in each render."""

    task: str  #: key
    render: int  #: counts from 1
    attempt: int
    worker: str
    began: datetime | None  #: None = the journal does not tell
    took_s: float | None = None  #: from dispatch to answer; None = no answer came
    outcome: str = "running"  #: "done", "failed", "cancelled", "lost", or "cut off" with the render
    detail: str = ""
    peak_bytes: int = 0


@dataclass(frozen=True, slots=True)
class LastRender:
    """How the latest render stands. ``end`` is its last record, None = it has not written one."""

    began: datetime | None
    end: End | None
    cancelled: frozenset[str]  #: ids of videos that it was asked to stop


def last_render(records: Iterable[Record]) -> LastRender | None:
    """None = nothing was rendered, or the journal is lost."""
    found: LastRender | None = None
    for record in records:
        match record:
            case Render():
                found = LastRender(_Clock(record).wall(record.at), None, frozenset())
            case End() if found:
                found = replace(found, end=record)
            case VideoCancelled(video=video) if found:
                found = replace(found, cancelled=found.cancelled | {video})
    return found


def attempts(records: Iterable[Record], tasks: Collection[str] | None = None, *, is_live: bool) -> list[Attempt]:
    """Every attempt at ``tasks`` (None = at all), in order of dispatch. ``is_live``: the last render still runs."""
    made: list[Attempt] = []
    out: dict[str, tuple[int, float]] = {}  # of the render: key -> index in ``made``, and its time of dispatch
    clock, render = _Clock(None), 0
    for record in records:
        match record:
            case Render():
                _cut_off(made, out)
                clock, render = _Clock(record), render + 1
            case Dispatch(at=at, task=key, attempt=attempt, worker=worker) if tasks is None or key in tasks:
                out[key] = len(made), at
                made.append(Attempt(task=key, render=render, attempt=attempt, worker=worker, began=clock.wall(at)))
            case Done() | Failure() | Cancelled() | WorkerLost() if record.task in out:
                idx, since = out.pop(record.task)
                outcome, detail = _ending(record)
                peak = record.peak_bytes or 0 if isinstance(record, Done) else 0
                took_s = None if record.at is None else record.at - since
                made[idx] = replace(made[idx], took_s=took_s, outcome=outcome, detail=detail, peak_bytes=peak)
    if not is_live:
        _cut_off(made, out)
    return made


def made_here(records: Iterable[Record]) -> set[str]:
    """Keys of tasks that this run made, and has not let go since."""
    made: set[str] = set()
    for record in records:
        match record:
            case Done(task=task):
                made.add(task)
            case Dropped(tasks=tasks):
                made.difference_update(tasks)
    return made


def ever_made(records: Iterable[Record]) -> set[str]:
    """Keys of tasks that this run made, also of what it has let go since."""
    return {record.task for record in records if isinstance(record, Done)}


def was_dropped(records: Iterable[Record], task: str) -> bool:
    """Whether this run has ever let go of what a task made."""
    return any(task in record.tasks for record in records if isinstance(record, Dropped))


def last_failure(records: Iterable[Record], task: str) -> Failure | None:
    """The record of the last attempt that raised, with its traceback and log."""
    found = [record for record in records if isinstance(record, Failure) and record.task == task]
    return found[-1] if found else None


def _ending(record: Done | Failure | Cancelled | WorkerLost) -> tuple[str, str]:
    """Outcome and detail of the attempt that this record ends."""
    match record:
        case Done():
            return "done", ""
        case Failure(kind=kind, message=message):
            return "failed", f"{kind}: {message}"
        case Cancelled():
            return "cancelled", ""
        case WorkerLost(cause=cause):
            return "lost", f"its worker was lost: {cause}"


def _cut_off(made: list[Attempt], out: dict[str, tuple[int, float]]) -> None:
    for idx, _ in out.values():
        made[idx] = replace(made[idx], outcome="cut off", detail="the render ended before it")
    out.clear()


class _Clock:
    """From the seconds of one render's records to the time of day."""

    def __init__(self, begin: Render | None) -> None:
        self._origin: datetime | None = None
        if begin is not None and begin.at is not None and begin.time is not None:
            self._origin = datetime.fromisoformat(begin.time) - timedelta(seconds=begin.at)

    def wall(self, at: float | None) -> datetime | None:
        return None if self._origin is None or at is None else self._origin + timedelta(seconds=at)


def begin_record(
    *, num_to_make: int, at: float, store: str, store_id: str | None = None, store_way: str | None = None
) -> Render:
    """What a journal says when a render begins; ``at`` on the clock of the records that follow.

    ``store``, ``store_id``, ``store_way``: see ``store.runs.store_record``.
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Render(at=at, time=now, store=store, store_id=store_id, store_way=store_way, to_make=num_to_make)


def given_up(records: Iterable[Record]) -> dict[str, str]:
    """Tasks that failed for good in earlier renders, not by storage, and were not made since: key -> why."""
    return {key: failed.reason for key, failed in _failed(records).items() if failed.cause not in STORAGE_CAUSES}


def failures(records: Iterable[Record]) -> dict[str, str]:
    """Tasks that failed for good, whatever the cause, and were not made since: key -> why."""
    return {key: failed.reason for key, failed in _failed(records).items()}


def _failed(records: Iterable[Record]) -> dict[str, Failed]:
    failed: dict[str, Failed] = {}
    for record in records:
        match record:
            case Failed(task=task):
                failed[task] = record
            case Done(task=task):
                failed.pop(task, None)
    return failed
