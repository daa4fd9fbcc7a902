"""A plan as lines of JSON, and back as far as reasons need it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from ltx_ray.plan.dag import Plan
from ltx_ray.plan.reasons import LastPlan, LastTask
from ltx_ray.spec.canonical import canonical

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
        by_name[f"{record['unit']} {record['stage']}"] = task
    return LastPlan(made, by_name, by_key) if by_key else None
