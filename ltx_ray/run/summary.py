"""Whom a render tells how it goes on, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ltx_ray.report.seams import SeamReport, warnings

if TYPE_CHECKING:
    from ltx_ray.engine.state import RunState
    from ltx_ray.plan.dag import PlannedVideo
    from ltx_ray.run.dry import DryRun
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

    def seam_warnings(self, threshold: float) -> list[str]:
        """A sentence for each video and metric that is over so many times what is normal somewhere."""
        return [line for id_, report in self.seams.items() for line in warnings(id_, report, threshold)]
