"""A task: one stage applied to one unit. The plan is a DAG of tasks; a task is known by its key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from ltx_ray.spec.recipe import Recipe

Stage = Literal[
    "ingest", "text_encode", "condition", "generate", "upscale", "connect", "refine", "decode", "audio_decode",
    "stitch", "inspect",
]  # fmt: skip

#: In the order a video passes through them. The number is raised by hand when a stage's arithmetic changes,
#: which changes the key of everything the stage makes.
STAGE_VERSIONS: dict[Stage, int] = {
    "ingest": 1,
    "text_encode": 1,
    "condition": 2,
    "generate": 1,
    "upscale": 1,
    "connect": 1,
    "refine": 1,
    "decode": 1,
    "audio_decode": 1,
    "stitch": 1,
    "inspect": 1,
}
STAGES: tuple[Stage, ...] = tuple(STAGE_VERSIONS)


class Parent(NamedTuple):
    """An input: what it is to the task, and the key of the artifact. Several parents may share a role, in order."""

    role: str
    key: str


@dataclass(frozen=True, slots=True)
class Task:
    """``unit`` names what the stage is applied to, for people: ``fox``, ``fox/segment 0``, ``fox/window 2``."""

    key: str
    stage: Stage
    unit: str
    recipe: Recipe
    parents: tuple[Parent, ...]

    @property
    def name(self) -> str:
        return f"{self.unit} {self.stage}"
