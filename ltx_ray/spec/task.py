"""A task: one stage applied to one unit. The plan is a DAG of tasks; a task is known by its key."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

from ltx_ray.spec.recipe import Recipe
from ltx_ray.spec.stages import STAGES, Stage

__all__ = ["STAGES", "Parent", "Stage", "Task", "wanted"]


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
    file: str = field(default="", compare=False)  #: the user's file that it reads, for messages; "" = it reads none

    @property
    def name(self) -> str:
        return f"{self.unit} {self.stage}"


class _HasParents(Protocol):
    @property
    def parents(self) -> tuple[Parent, ...]: ...


_Task = TypeVar("_Task", bound=_HasParents)


def wanted(tasks: dict[str, _Task], outputs: Iterable[str], kept: Collection[str]) -> set[str]:
    """The outputs, and every input that one of them still waits for: of what is ``kept``, no input is wanted.

    Args:
        tasks: by key, parents before children.
        outputs: keys of what the tasks are for.
    """
    keys = set(outputs)
    for key in reversed(tasks):
        if key in keys and key not in kept:
            keys.update(parent.key for parent in tasks[key].parents)
    return keys
