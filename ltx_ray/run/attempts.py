"""What a journal says of the renders of a run, and of every attempt at its tasks. Reads records; knows no disk.

Times in a journal are seconds on the clock of the driver that wrote them; the record that begins a render holds that
clock and the wall clock side by side.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ltx_ray.engine.retry import LOSSES, STORE_FAULTS

#: Journal events of a render itself. ``END`` is missing when the process died.
BEGIN, END = "render", "end"
#: Journal event of a video that nobody wants any more, until the next render.
VIDEO_CANCELLED = "video_cancelled"
#: Journal event of intermediates that ``keep`` let go.
DROPPED = "dropped"

Record = Mapping[str, Any]


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
    end: Record | None
    cancelled: frozenset[str]  #: ids of videos that it was asked to stop


def last_render(records: Iterable[Record]) -> LastRender | None:
    """None = nothing was rendered, or the journal is lost."""
    found: LastRender | None = None
    for record in records:
        match record.get("event"):
            case "render":
                found = LastRender(_Clock(record).wall(record.get("at")), None, frozenset())
            case "end" if found:
                found = replace(found, end=record)
            case "video_cancelled" if found:
                found = replace(found, cancelled=found.cancelled | {str(record.get("video"))})
    return found


def attempts(records: Iterable[Record], tasks: Collection[str] | None = None, *, is_live: bool) -> list[Attempt]:
    """Every attempt at ``tasks`` (None = at all), in order of dispatch. ``is_live``: the last render still runs."""
    made: list[Attempt] = []
    out: dict[str, tuple[int, float]] = {}  # of the render: key -> index in ``made``, and its time of dispatch
    clock, render = _Clock({}), 0
    for record in records:
        event, key = record.get("event"), record.get("task")
        if event == BEGIN:
            _cut_off(made, out)
            clock, render = _Clock(record), render + 1
        elif key is None or (tasks is not None and key not in tasks):
            continue
        elif event == "dispatch":
            out[key] = len(made), record["at"]
            began = clock.wall(record["at"])
            made.append(
                Attempt(task=key, render=render, attempt=record["attempt"], worker=record["worker"], began=began)
            )
        elif key in out and (ending := _ending(record)) is not None:
            idx, since = out.pop(key)
            outcome, detail = ending
            peak = record.get("peak_bytes", 0)
            took_s = record["at"] - since if "at" in record else None
            made[idx] = replace(made[idx], took_s=took_s, outcome=outcome, detail=detail, peak_bytes=peak)
    if not is_live:
        _cut_off(made, out)
    return made


def ever_made(records: Iterable[Record]) -> set[str]:
    """Keys of tasks that this run made, also of what it has let go since."""
    return {record["task"] for record in records if record.get("event") == "done"}


def made_here(records: Iterable[Record]) -> set[str]:
    """Keys of tasks that this run made, and has not let go since."""
    made: set[str] = set()
    for record in records:
        match record.get("event"):
            case "done":
                made.add(record["task"])
            case "dropped":
                made.difference_update(record["tasks"])
    return made


def last_failure(records: Iterable[Record], task: str) -> Record | None:
    """The record of the last attempt that raised, with its traceback and log."""
    found = [record for record in records if record.get("event") == "failure" and record.get("task") == task]
    return found[-1] if found else None


def _ending(record: Record) -> tuple[str, str] | None:
    """Outcome and detail of an attempt that this record ends; None = it ends none."""
    match record.get("event"):
        case "done":
            return "done", ""
        case "failure":
            return "failed", f"{record['kind']}: {record['message']}"
        case "cancelled":
            return "cancelled", ""
        case "worker_lost":
            return "lost", f"its worker was lost: {record['cause']}"
    return None


def _cut_off(made: list[Attempt], out: dict[str, tuple[int, float]]) -> None:
    for idx, _ in out.values():
        made[idx] = replace(made[idx], outcome="cut off", detail="the render ended before it")
    out.clear()


class _Clock:
    """From the seconds of one render's records to the time of day."""

    def __init__(self, begin: Record) -> None:
        self._origin: datetime | None = None
        if "at" in begin and "time" in begin:
            self._origin = datetime.fromisoformat(begin["time"]) - timedelta(seconds=begin["at"])

    def wall(self, at: float | None) -> datetime | None:
        return None if self._origin is None or at is None else self._origin + timedelta(seconds=at)


def begin_record(*, num_to_make: int, at: float, **store: str | None) -> dict[str, Any]:
    """What a journal says when a render begins; ``at`` on the clock of the records that follow.

    ``store``: the fields of ``store.runs.store_record``.
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return {"event": BEGIN, **store, "to_make": num_to_make, "at": at, "time": now}


def end_record(*, stopped: int | None, gave_up: str | None, **counts: int) -> dict[str, Any]:
    """What a journal says when a render ends by itself; its absence says that it did not.

    ``stopped``: exit code of the signal; ``gave_up``: why it ended early; ``counts``: of videos, where it counted them.
    """
    return {"event": END, "at": time.monotonic(), **counts, "stopped": stopped, "gave_up": gave_up}


#: Failures that are nobody's but the storage's: mended there, so the next render tries again by itself.
STORAGE_FAILURES = (*LOSSES, *STORE_FAULTS)


def given_up(records: Sequence[Record]) -> dict[str, str]:
    """Tasks that failed for good in earlier renders, not by storage, and were not made since: key -> why."""
    kinds = {record["task"]: record["kind"] for record in records if record.get("event") == "failure"}
    return {key: why for key, why in failures(records).items() if kinds.get(key) not in STORAGE_FAILURES}


def failures(records: Iterable[Record]) -> dict[str, str]:
    """Tasks that failed for good, whatever the cause, and were not made since: key -> why."""
    failed: dict[str, str] = {}
    for record in records:
        if record.get("event") == "failed":
            failed[record["task"]] = record["reason"]
        elif record.get("event") == "done":
            failed.pop(record["task"], None)
    return failed
