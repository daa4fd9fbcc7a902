"""A plan as lines of JSON, and back as far as reasons need it; and the reasons themselves, for who asks later."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ltx_ray.plan.dag import Plan
from ltx_ray.plan.keys import artifact_key
from ltx_ray.plan.reasons import LastPlan, LastTask, Reason
from ltx_ray.spec.canonical import canonical
from ltx_ray.spec.task import Task

RECORD_SCHEMA = 1


def plan_lines(plan: Plan) -> Iterator[str]:
    """One line a task, parents before children, then one a video."""
    for task in plan.tasks.values():
        yield canonical(
            {
                "schema": RECORD_SCHEMA,
                "key": task.key,
                "stage": task.stage,
                "unit": task.unit,
                "recipe": task.recipe,
                "parents": task.parents,
            }
        )
    for video in plan.videos:
        yield canonical({"schema": RECORD_SCHEMA, "video": video})


def last_plan(records: Iterable[Mapping[str, Any]], made: Collection[str]) -> LastPlan | None:
    """The tasks of an earlier plan, ``made`` of them finished; None if there was none, or one of another schema."""
    by_name, by_key = {}, {}
    for record in records:
        if record.get("schema") != RECORD_SCHEMA:
            return None
        if "key" not in record:
            continue
        parents = tuple(key for _, key in record["parents"])
        task = LastTask(record["key"], record["stage"], record["recipe"], parents)
        by_key[task.key] = task
        by_name[name_of(record)] = task
    return LastPlan(made, by_name, by_key) if by_key else None


def name_of(record: Mapping[str, Any]) -> str:
    """What the task of a record is called for people; as ``Task.name``."""
    return f"{record['unit']} {record['stage']}"


def is_true_to_key(record: Mapping[str, Any]) -> bool:
    """Whether a task's record still says what its key was made of; only then may its recipe be relied upon."""
    try:
        return bool(artifact_key(record["stage"], record["recipe"], record["parents"]) == record["key"])
    except (KeyError, ValueError, RecursionError):  # no stage of ours, or nothing that has a canonical form
        return False


def still_needed(records: Sequence[Mapping[str, Any]], kept: Collection[str]) -> set[str]:
    """Keys that a render would make: what a video of these records waits for, given what is ``kept``."""
    videos = [record["video"] for record in records if "video" in record]
    wanted = {key for video in videos for key in (video["stitch"], video.get("inspect")) if key is not None}
    keys: set[str] = set()
    for record in reversed(records):
        if record.get("key") in wanted and record["key"] not in kept:
            keys.add(record["key"])
            wanted.update(parent for _, parent in record["parents"])
    return keys


def standing_reasons(now: Iterable[tuple[Task, Reason]], before: Mapping[str, Reason]) -> dict[str, Reason]:
    """Why tasks of the plan are made, or were made last, by key; one that is simply new has no entry.

    Args:
        now: of every task, as it is about to be rendered.
        before: what this said at the render before; it holds for a task that is kept, or was not reached then.
    """
    standing = {}
    for task, reason in now:
        if reason.kind in ("recipe", "parent", "missing"):
            standing[task.key] = reason
        elif task.key in before:
            standing[task.key] = before[task.key]
    return standing


def reason_lines(reasons: Mapping[str, Reason]) -> Iterator[str]:
    """One line a task."""
    for key, reason in reasons.items():
        yield canonical({"schema": RECORD_SCHEMA, "key": key, "kind": reason.kind, "detail": reason.detail})


def read_reasons(records: Iterable[Any]) -> dict[str, Reason]:
    """What ``reason_lines`` wrote; other lines are passed over."""
    found = {}
    for record in records:
        match record:
            case {"schema": 1, "key": str(key), "kind": "recipe" | "parent" | "missing" as kind, "detail": str(detail)}:
                found[key] = Reason(kind, detail)
    return found
