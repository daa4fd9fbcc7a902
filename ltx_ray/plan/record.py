"""A plan as lines of JSON, and back; and the reasons of its tasks, for who asks later."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Self, cast

from ltx_ray.plan.dag import Plan, target_of
from ltx_ray.plan.keys import artifact_key
from ltx_ray.plan.reasons import LastPlan, Reason
from ltx_ray.spec.canonical import canonical
from ltx_ray.spec.rebuild import rebuilt_recipe
from ltx_ray.spec.recipe import Recipe
from ltx_ray.spec.task import Parent, Stage, Task

RECORD_SCHEMA = 1


class RecordedTask(NamedTuple):
    """A task as a run's plan recorded it. ``stage`` and ``recipe`` may be those of another version of the program."""

    key: str
    stage: str
    unit: str
    recipe: dict[str, Any]  #: plain JSON
    parents: tuple[Parent, ...]

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """From its line of the plan, which ``store.run_dir`` has looked through."""
        parents = tuple(map(Parent._make, record["parents"]))
        return cls(record["key"], record["stage"], record["unit"], record["recipe"], parents)

    @property
    def name(self) -> str:
        """What it is called for people; as ``Task.name``."""
        return f"{self.unit} {self.stage}"

    def is_true_to_key(self) -> bool:
        """Whether it still says what its key was made of; only then may its recipe be relied upon."""
        try:
            return artifact_key(cast(Stage, self.stage), cast(Recipe, self.recipe), self.parents) == self.key
        except (KeyError, TypeError, ValueError, RecursionError):  # no stage of ours, or nothing that has a text
            return False

    def as_planned(self) -> Task:
        """The task with its recipe.

        Raises:
            ValueError: it was changed since it was planned, or is of another version of the program.
        """
        if not self.is_true_to_key():
            raise ValueError(f"{self.name}: its key was made of something else")
        stage = cast(Stage, self.stage)
        return Task(self.key, stage, self.unit, rebuilt_recipe(stage, self.recipe), self.parents)


class RecordedVideo(NamedTuple):
    """A video as a run's plan recorded it."""

    id: str
    path: str  #: relative to the run's videos directory
    stitch: str  #: key
    inspect: str | None  #: key; None = there is no seam to look at
    target: str | None  #: where the finished file is sent to; None = it stays

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """From its line of the plan, which ``store.run_dir`` has looked through."""
        fields = record["video"]
        to = to if isinstance(to := fields.get("to"), str) else None
        return cls(fields["id"], fields["path"], fields["stitch"], fields.get("inspect"), target_of(to, fields["path"]))


def plan_lines(plan: Plan) -> Iterator[str]:
    """One line a task, parents before children, then one a video."""
    for task in plan.tasks.values():
        yield (
            f'{{"key":"{task.key}","parents":{canonical(task.parents)},"recipe":{canonical(task.recipe)},'
            f'"schema":{RECORD_SCHEMA},"stage":"{task.stage}","unit":{canonical(task.unit)}}}'
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
        task = RecordedTask.of(record)
        by_key[task.key] = task
        by_name[task.name] = task
    return LastPlan(made, by_name, by_key) if by_key else None


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
