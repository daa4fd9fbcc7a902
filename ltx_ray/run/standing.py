"""Where a run stands, from its plan, journal, lock and store. Changes nothing, needs no lock, loads no model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from ltx_ray.report.seams import SeamReport, read_seams, warnings

if TYPE_CHECKING:
    from ltx_ray.plan.record import RecordedTask
    from ltx_ray.run.record import Run
    from ltx_ray.store.owner import Life


@dataclass(frozen=True, slots=True)
class VideoStatus:
    id: str
    path: Path
    is_finished: bool
    is_cancelled: bool  #: the last render was asked to stop it
    why_not: str  #: the reason of a failed task it waits for; empty when there is none
    seams: SeamReport | None  #: None = it is not finished, has no seam, or nobody has looked yet
    unsent_to: str | None = None  #: where it is finished for, and not yet sent


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

    def seam_warnings(self, threshold: float) -> list[str]:
        """A sentence for each video and metric that is over so many times what is normal somewhere."""
        return [line for video in self.videos if video.seams for line in warnings(video.id, video.seams, threshold)]


def standing_of(run: Run) -> RunStatus:
    """Raises StoreAbsent if its store is not there."""
    kept = run.kept
    holder, last = run.holder, run.last_render
    videos = tuple(_video_statuses(run))
    return RunStatus(
        run_dir=run.layout.path,
        state=_state(run, is_all_done=all(video.is_finished and video.unsent_to is None for video in videos)),
        store=run.store.location,
        holder=f"process {holder.owner.pid} on {holder.owner.host}" if holder and holder.owner else None,
        stages=_stage_counts(run.tasks.values(), kept, run.needed()),
        running=tuple(
            RunningTask(run.tasks[attempt.task].name, attempt.worker, attempt.attempt, attempt.began)
            for attempt in run.attempts(run.tasks)
            if attempt.outcome == "running"
        ),
        videos=videos,
        gave_up=last.end.gave_up if last and last.end and not holder else None,
        problem=run.history.note,
    )


def _state(run: Run, *, is_all_done: bool) -> State:
    if run.holder is not None:
        states: dict[Life, State] = {"alive": "rendering", "dead": "died", "unknown": "out of sight"}
        return states[run.holder.life]
    if is_all_done:
        return "finished"
    last = run.last_render
    if last is None or last.end is None:
        return "ended early"
    return "stopped" if last.end.stopped else "unfinished"


def _stage_counts(
    tasks: Iterable[RecordedTask], kept: Collection[str], needed: Collection[str]
) -> dict[str, StageCounts]:
    counts: dict[str, StageCounts] = {}
    for task in tasks:
        total, num_kept, num_needed = counts.get(task.stage, (0, 0, 0))
        counts[task.stage] = StageCounts(total + 1, num_kept + (task.key in kept), num_needed + (task.key in needed))
    return counts


def _video_statuses(run: Run) -> Iterator[VideoStatus]:
    why: dict[str, str] = {}  # a parent stands before its children
    for key, task in run.tasks.items():
        if key in run.failed and key not in run.kept:
            why[key] = f"{task.name} failed: {run.failed[key]}"
        elif blocked_by := next((why[parent.key] for parent in task.parents if parent.key in why), None):
            why[key] = blocked_by
    cancelled = run.last_render.cancelled if run.last_render else frozenset()
    for video in run.videos:
        is_finished = run.is_finished(video, run.kept)
        seams = read_seams(run.store, video.inspect) if is_finished else None
        is_cancelled = video.id in cancelled and not is_finished
        why_not = why.get(video.stitch, "")
        unsent_to = run.unsent_to(video) if is_finished else None
        yield VideoStatus(video.id, run.file(video), is_finished, is_cancelled, why_not, seams, unsent_to)
