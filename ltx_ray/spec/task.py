"""A task: one stage applied to one unit. The plan is a DAG of tasks; a task is known by its key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ltx_ray.spec.recipe import Recipe
from ltx_ray.spec.stages import STAGES, Stage

__all__ = ["STAGES", "Parent", "Stage", "Task"]


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
