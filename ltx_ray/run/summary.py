"""Whom a render tells how it goes on, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ltx_ray.errors import Interrupted, LtxRayError, RunIncomplete, StoreError, StoreUnusable
from ltx_ray.report.seams import SeamReport, warnings

if TYPE_CHECKING:
    from ltx_ray.engine.state import RunState
    from ltx_ray.plan.dag import PlannedVideo
    from ltx_ray.run.dry import DryRun
    from ltx_ray.run.estimate import Estimate
    from ltx_ray.spec.records import Record


class Observer(Protocol):
    """Is told how a render goes on; every method may do nothing."""

    def begin(self, dry: DryRun, run_dir: Path) -> None:
        """The plan is made and the run is locked; nothing has run."""

    def record(self, record: Record) -> None:
        """A journal record became durable."""

    def turn(self, state: RunState) -> None:
        """The loop went round; called several times a second."""


class Silent:
    """The Observer that does nothing."""

    def begin(self, dry: DryRun, run_dir: Path) -> None: ...
    def record(self, record: Record) -> None: ...
    def turn(self, state: RunState) -> None: ...


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a round of a render is, in tasks; those that were kept from before are in none of these."""

    num_tasks: int
    num_done: int
    num_running: int
    num_lost: int  #: failed for good, or waiting for one that did


class Progressed(Silent):
    """The Observer that calls a function whenever the progress is another one; in the thread that renders."""

    def __init__(self, tell: Callable[[Progress], object]) -> None:
        self._tell = tell
        self._last: Progress | None = None

    def turn(self, state: RunState) -> None:
        lost = state.total("failed") + state.total("blocked")
        now = Progress(len(state.tasks), state.total("done"), state.total("running"), lost)
        if now != self._last:
            self._last = now
            self._tell(now)


@dataclass(frozen=True, slots=True)
class Summary:
    """How a render ended."""

    run_dir: Path
    finished: tuple[PlannedVideo, ...]
    unfinished: tuple[PlannedVideo, ...]
    num_made: int
    num_cached: int
    failed: Mapping[str, str]  #: task name -> why, of those given up
    num_blocked: int  #: tasks that wait for one of these
    cancelled: tuple[str, ...]  #: ids of unfinished videos that it was asked to leave out
    left_over: tuple[str, ...]  #: files in videos/ of an earlier manifest
    seams: Mapping[str, SeamReport]  #: of the finished videos that have any, by id
    gave_up: str | None  #: why the run as a whole stopped early; None = it did not
    store_fault: str | None  #: what is wrong with its storage, if it gave up for that
    stopped: int | None  #: exit code of the signal that stopped the run; None = it ran to its end
    not_sent: Mapping[str, str] = field(default_factory=dict)  #: finished, and not where ``output.to`` wants it: why
    took_s: float = 0.0  #: from the first look at what is missing to the last task, the start of Ray included
    planned: Estimate | None = None  #: what it would take; None = nothing was known of what computed
    unheard: str | None = None  #: a sentence if somebody who is to be notified did not acknowledge it

    def error(self) -> LtxRayError | None:
        """What a command ends with that ends so; None = all is done."""
        run = str(self.run_dir)
        if self.stopped is not None:
            return Interrupted(run, self.stopped)
        if self.store_fault is not None:
            return StoreUnusable(_with_remedy(self.store_fault, "resumes"))
        if self.not_sent:
            return StoreError(_with_remedy(next(iter(self.not_sent.values())), "sends what is missing"))
        if self.unfinished or self.failed:
            return RunIncomplete(len(self.failed), self.num_blocked, len(self.cancelled), run)
        return None

    def seam_warnings(self, threshold: float) -> list[str]:
        """A sentence for each video and metric that is over so many times what is normal somewhere."""
        return [line for id_, report in self.seams.items() for line in warnings(id_, report, threshold)]


def _with_remedy(fault: str, outcome: str) -> str:
    """A sentence of a storage that also says what to run when it is mended."""
    return fault if "same command" in fault else f"{fault}; then the same command {outcome}"
