"""What a plan is: tasks by key, and the files they are for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

from ltx_ray.plan.keys import artifact_key
from ltx_ray.plan.notes import Note
from ltx_ray.spec.canonical import later
from ltx_ray.spec.recipe import Recipe
from ltx_ray.spec.task import Parent, Stage, Task


@dataclass(frozen=True, slots=True)
class PlannedVideo:
    """One output file and the task that makes it."""

    id: str
    path: str  #: relative to the run's videos directory
    stitch: str  #: key
    num_frames: int
    frame_rate: Fraction
    width_px: int
    height_px: int
    inspect: str | None = None  #: key; None = there is no seam to look at
    priority: int = later(0, since=2)  #: videos of a higher one are rendered first
    to: str | None = later(None, since=2)  #: directory or URI that ``path`` is sent to, below it; None = it stays

    @property
    def target(self) -> str | None:
        """Where the finished file is sent to."""
        return target_of(self.to, self.path)


@dataclass(slots=True)
class Plan:
    """``tasks`` is ordered: parents stand before their children."""

    tasks: dict[str, Task] = field(default_factory=dict)
    videos: list[PlannedVideo] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)  #: keys of ingest tasks, and where their files lie

    def add(self, stage: Stage, unit: str, recipe: Recipe, parents: tuple[Parent, ...] = (), *, file: str = "") -> str:
        """The key of this task, entering it unless equal work is planned already; ``file`` as ``Task.file``."""
        key = artifact_key(stage, recipe, parents)
        if key not in self.tasks:
            self.tasks[key] = Task(key, stage, unit, recipe, parents, file)
        return key

    @property
    def outputs(self) -> set[str]:
        """Keys of what a run is for."""
        return outputs_of(self.videos)

    @property
    def levels(self) -> dict[str, int]:
        """By key, the highest priority of a video that needs the task; {} where all have the same."""
        if len({video.priority for video in self.videos}) < 2:
            return {}
        levels: dict[str, int] = {}
        for video in self.videos:
            for key in outputs_of([video]):
                levels[key] = max(levels.get(key, video.priority), video.priority)
        for key in reversed(self.tasks):
            for parent in self.tasks[key].parents if key in levels else ():
                levels[parent.key] = max(levels.get(parent.key, levels[key]), levels[key])
        return levels


def target_of(to: str | None, path: str) -> str | None:
    """Where a file goes that is sent to ``to``; None = nowhere."""
    return None if to is None else f"{to.rstrip('/')}/{path}"


class _HasOutputs(Protocol):
    @property
    def stitch(self) -> str: ...
    @property
    def inspect(self) -> str | None: ...


def outputs_of(videos: Iterable[_HasOutputs]) -> set[str]:
    """Keys of what these videos are for: the files, and what is said of their seams."""
    return {key for video in videos for key in (video.stitch, video.inspect) if key is not None}
