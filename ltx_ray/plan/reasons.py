"""Why each task is cached, skipped or made: decided here, printed by ``plan``, and what ``render`` runs.

``needed`` walks from the outputs backwards, so a missing intermediate is made only if something missing needs it.
A reason compares a task with the one of the same name in the run's last plan, and names the value that changed at its
root: a refine whose prompt changed says the prompt, not "inputs changed".
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ltx_ray.plan.dag import Plan, outputs_of
from ltx_ray.spec.canonical import canonical
from ltx_ray.spec.task import Task, wanted

if TYPE_CHECKING:
    from ltx_ray.plan.record import RecordedTask


class _Unset:
    """Stands for a field that is not written: an option at its default."""

    def __repr__(self) -> str:
        return "unset"


_UNSET = _Unset()


@dataclass(frozen=True, slots=True)
class Reason:
    """``detail`` names fields and values, old -> new, where the kind has any."""

    kind: Literal["cached", "not needed", "new", "recipe", "parent", "missing"]
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}" if self.detail else self.kind


@dataclass(frozen=True, slots=True)
class LastPlan:
    """The run's last plan; ``made`` are the keys its journal says were finished."""

    made: Collection[str]
    by_name: Mapping[str, RecordedTask]
    by_key: Mapping[str, RecordedTask]


def needed(plan: Plan, kept: Collection[str], *, without: Collection[str] = ()) -> set[str]:
    """Keys that must be made so that every video's file can exist, and what is said of it; but for videos ``without``.

    Videos are named by their ids.
    """
    videos = [video for video in plan.videos if video.id not in without]
    return wanted(plan.tasks, outputs_of(videos), kept).difference(kept)


def only_for(plan: Plan, kept: Collection[str], videos: Collection[str]) -> frozenset[str]:
    """Keys that must be made for these videos, by id, and for no other one."""
    return frozenset(needed(plan, kept) - needed(plan, kept, without=videos))


def explain(plan: Plan, kept: Collection[str], last: LastPlan | None) -> Iterator[tuple[Task, Reason]]:
    """Every task with its reason, parents before children."""
    run = needed(plan, kept)
    for key, task in plan.tasks.items():
        if key in kept:
            yield task, Reason("cached")
        elif key not in run:
            yield task, Reason("not needed", "what it is for is kept")
        else:
            yield task, _why(task, plan, last)


def changed_fields(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Each field that differs, as ``name old -> new``; nested fields and conditions get dotted names."""
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name, _UNSET), new.get(name, _UNSET)
        if before == after:
            continue
        old_fields, new_fields = _fields(before), _fields(after)
        if old_fields and new_fields:
            yield from changed_fields(old_fields, new_fields, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name} {_show(before)} -> {_show(after)}"


def in_words(recipe: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Each field of a recipe as ``name value``, short; nested fields get dotted names, empty ones are left out."""
    for name, value in sorted(_readable(recipe).items()):
        if fields := _fields(value):
            yield from in_words(fields, f"{prefix}{name}.")
        elif value not in (None, "", []):
            yield f"{prefix}{name} {_show(value)}"


def _why(task: Task, plan: Plan, last: LastPlan | None) -> Reason:
    before = last.by_name.get(task.name) if last else None
    if last is None or before is None:
        return Reason("new")
    if before.key == task.key:
        return Reason("missing", "made before, not in the store now") if task.key in last.made else Reason("new")
    if changes := _diff(before, task):
        return Reason("recipe", ", ".join(changes))
    return Reason("parent", _root_change(task, before, plan, last))


def _root_change(task: Task, before: RecordedTask, plan: Plan, last: LastPlan) -> str:
    """The first changed recipe above ``task``: stage and fields."""
    if len(before.parents) != len(task.parents):
        return f"{len(before.parents)} inputs -> {len(task.parents)}"
    for parent, old_parent in zip(task.parents, before.parents, strict=True):
        if parent.key == old_parent.key:
            continue
        old, new = last.by_key.get(old_parent.key), plan.tasks[parent.key]
        if old is None:
            return f"{new.stage} is another"
        if old.stage != new.stage:
            return f"{new.stage} instead of {old.stage}"
        if changes := _diff(old, new):
            return f"{new.stage} {', '.join(changes)}"
        return _root_change(new, old, plan, last)
    return "stage version or key schema"


def _diff(old: RecordedTask, new: Task) -> list[str]:
    return list(changed_fields(_readable(old.recipe), _readable(json.loads(canonical(new.recipe)))))


def _readable(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe whose provenance is taken apart: its prompt says more than the digest that changes with it."""
    try:
        provenance = json.loads(recipe["provenance"])
    except (KeyError, TypeError, ValueError):  # it has none, or the plan it was read from is odd
        return recipe
    if not isinstance(provenance, dict):
        return recipe
    provenance.pop("entry_sha256", None)
    return recipe | {"provenance": provenance}


def _fields(value: Any) -> dict[str, Any]:
    """What a value is made of by name, or by number for a list of such values; empty = it is shown as it is."""
    if isinstance(value, dict):
        return {} if "fraction" in value else value
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        return {str(idx): each for idx, each in enumerate(value)}
    return {}


def _show(value: Any) -> str:
    match value:
        case {"fraction": [numerator, 1]}:
            return f"{numerator}"
        case {"fraction": [numerator, denominator]}:
            return f"{numerator}/{denominator}"
    text = repr(value)
    return text if len(text) <= 48 else f"{text[:45]}..."
