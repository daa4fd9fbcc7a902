"""Where a run stands, from its plan, journal, lock and store. Changes nothing, needs no lock, loads no model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ltx_ray.plan.record import name_of, still_needed
from ltx_ray.run.attempts import LastRender, attempts, failures, last_render
from ltx_ray.run.render import seams_of
from ltx_ray.store.lock import Holder, read_lock

if TYPE_CHECKING:
    from ltx_ray.report.seams import SeamReport
    from ltx_ray.store.journal import History
    from ltx_ray.store.layout import RunLayout
    from ltx_ray.store.owner import Life
    from ltx_ray.store.protocol import Store


@dataclass(frozen=True, slots=True)
class VideoStatus:
    id: str
    path: Path
    is_finished: bool
    is_cancelled: bool  #: the last render was asked to stop it
    why_not: str  #: the reason of a failed task it waits for; empty when there is none
    seams: SeamReport | None  #: None = it is not finished, has no seam, or nobody has looked yet


class StageCounts(NamedTuple):
    num_tasks: int
    num_kept: int
    num_to_make: int  #: of the others, those that something still waits for


class RunningTask(NamedTuple):
    name: str
    worker: str
    attempt: int
    began: datetime | None


#: rendering: a live process holds the run. out of sight: one of another machine or container does, by its lock.
#: died: its process is gone. ended early: the last render left no word, as an error ends it. stopped: by a person.
State = Literal["rendering", "out of sight", "died", "ended early", "stopped", "unfinished", "finished"]


@dataclass(frozen=True, slots=True)
class RunStatus:
    run_dir: Path
    state: State
    store: str  #: location of the one that all of this is said of
    holder: str | None  #: whose lock is on the run, dead or alive
    stages: dict[str, StageCounts]
    running: tuple[RunningTask, ...]  #: longest running first
    videos: tuple[VideoStatus, ...]
    gave_up: str | None  #: why the last render stopped early by itself; None = it did not, or did not say
    problem: str | None  #: what is wrong with the journal


def standing_of(layout: RunLayout, records: list[dict[str, Any]], history: History, store: Store) -> RunStatus:
    """``records`` are those of the run's plan."""
    tasks = {record["key"]: record for record in records if "key" in record}
    kept = store.known(tasks)
    holder = read_lock(layout.lock)
    last = last_render(history.records)
    videos = tuple(_video_statuses(layout, records, store, kept, failures(history.records), last))
    is_live = holder is not None and holder.life != "dead"
    return RunStatus(
        run_dir=layout.path,
        state=_state(holder, last, are_all_finished=all(video.is_finished for video in videos)),
        store=store.location,
        holder=f"process {holder.owner.pid} on {holder.owner.host}" if holder and holder.owner else None,
        stages=_stage_counts(tasks.values(), kept, still_needed(records, kept)),
        running=tuple(
            RunningTask(name_of(tasks[attempt.task]), attempt.worker, attempt.attempt, attempt.began)
            for attempt in attempts(history.records, tasks, is_live=is_live)
            if attempt.outcome == "running"
        ),
        videos=videos,
        gave_up=last.end.gave_up if last and last.end and not holder else None,
        problem=history.note,
    )


def _state(holder: Holder | None, last: LastRender | None, *, are_all_finished: bool) -> State:
    if holder is not None:
        states: dict[Life, State] = {"alive": "rendering", "dead": "died", "unknown": "out of sight"}
        return states[holder.life]
    if are_all_finished:
        return "finished"
    if last is None or last.end is None:
        return "ended early"
    return "stopped" if last.end.stopped else "unfinished"


def _stage_counts(tasks: Iterable[Any], kept: Collection[str], needed: Collection[str]) -> dict[str, StageCounts]:
    counts: dict[str, StageCounts] = {}
    for task in tasks:
        total, num_kept, num_needed = counts.get(task["stage"], (0, 0, 0))
        key = task["key"]
        counts[task["stage"]] = StageCounts(total + 1, num_kept + (key in kept), num_needed + (key in needed))
    return counts


def _video_statuses(
    layout: RunLayout,
    records: list[dict[str, Any]],
    store: Store,
    kept: Collection[str],
    failed: Mapping[str, str],
    last: LastRender | None,
) -> Iterator[VideoStatus]:
    why: dict[str, str] = {}  # a parent stands before its children
    for task in (record for record in records if "key" in record):
        key = task["key"]
        if key in failed and key not in kept:
            why[key] = f"{name_of(task)} failed: {failed[key]}"
        elif blocked_by := next((why[parent] for _, parent in task["parents"] if parent in why), None):
            why[key] = blocked_by
    cancelled = last.cancelled if last else frozenset()
    for video in (record["video"] for record in records if "video" in record):
        path = layout.videos / video["path"]
        is_finished = video["stitch"] in kept and path.exists()
        seams = seams_of(store, video.get("inspect")) if is_finished else None
        is_cancelled = video["id"] in cancelled and not is_finished
        yield VideoStatus(video["id"], path, is_finished, is_cancelled, why.get(video["stitch"], ""), seams)
