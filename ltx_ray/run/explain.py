"""A task's story: why it ran, was reused or failed, from what is on disk. Works on a live run and on a dead one.

Takes no lock, loads no model and changes nothing.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ltx_ray.errors import PlanError
from ltx_ray.plan.reasons import Reason, in_words
from ltx_ray.run.attempts import Attempt, last_failure, was_dropped
from ltx_ray.store.layout import object_name

if TYPE_CHECKING:
    from ltx_ray.plan.record import RecordedTask
    from ltx_ray.run.record import Run
    from ltx_ray.store.protocol import Store

_KEY_PREFIX = re.compile(r"[0-9a-f]{6,64}")


@dataclass(frozen=True, slots=True)
class Relative:
    """A parent or child of a task."""

    role: str  #: what the parent is to the child
    name: str
    key: str
    is_kept: bool


@dataclass(frozen=True, slots=True)
class Artifact:
    location: str
    digest: str
    num_bytes: int
    unit: str  #: for whom it was made first
    run_s: float
    peak_bytes: int
    software: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LastFailure:
    kind: str
    message: str
    traceback: str
    log: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStory:
    name: str
    key: str
    stage: str
    unit: str
    state: str  #: "kept", "running", "failed", "blocked", "cancelled", "to make" or "not needed"
    why: str  #: one phrase: what made it so
    recipe: Mapping[str, Any]
    parents: tuple[Relative, ...]
    children: tuple[Relative, ...]
    attempts: tuple[Attempt, ...]
    failure: LastFailure | None  #: of the last attempt that raised, also when a later one went well
    blocked: tuple[str, ...]  #: names of tasks that wait for it because it failed
    artifact: Artifact | None

    def recipe_in_words(self) -> str:
        """Each field as ``name value``, short; empty ones are left out."""
        return ", ".join(in_words(dict(self.recipe)))


def tell(run: Run, asked: str) -> list[TaskStory]:
    """The stories of all tasks that ``asked`` may mean: a name, a unit, or six and more characters of a key.

    Raises:
        StoreAbsent: its store is not there.
        PlanError: no task is called so.
    """
    store = run.store
    found = _matching(run.tasks, asked)
    if not found:
        raise PlanError(f"{run.layout.path}: no task is called {asked!r}; {_nearest(run.tasks, asked)}")
    return [_story(run, store, key) for key in found]


def _story(run: Run, store: Store, key: str) -> TaskStory:
    task = run.tasks[key]
    below, above = run.below(key), run.above(key)
    kept = store.known({key, *below, *above})
    made = run.attempts({key})
    state, why = _state(run, task, kept, above, made)
    waiting = [run.tasks[child].name for child in below if child not in kept]
    return TaskStory(
        name=task.name,
        key=key,
        stage=task.stage,
        unit=task.unit,
        state=state,
        why=why,
        recipe=task.recipe,
        parents=_relatives(run, task.parents, kept),
        children=_relatives(run, run.children.get(key, ()), kept),
        attempts=tuple(made),
        failure=_failure(run, key),
        blocked=tuple(waiting) if state == "failed" else (),
        artifact=_artifact(store, key) if key in kept else None,
    )


def _relatives(run: Run, pairs: Iterable[tuple[str, str]], kept: Collection[str]) -> tuple[Relative, ...]:
    return tuple(Relative(role, run.tasks[key].name, key, key in kept) for role, key in pairs)


def _state(
    run: Run, task: RecordedTask, kept: Collection[str], above: Sequence[str], made: Sequence[Attempt]
) -> tuple[str, str]:
    key, reason = task.key, run.reasons.get(task.key, Reason("new"))
    if key in kept:
        if key in run.made:
            return "kept", f"made here; {reason}"
        return "kept", "reused: it was in the store already, made for another run or an earlier state of this one"
    if key not in run.needed(kept):
        why, dropped = "what it is for is kept", was_dropped(run.history.records, key)
        return "not needed", f"{why}, so it was let go, as `keep` says" if dropped else why
    if made and made[-1].outcome == "running":
        return "running", str(reason)
    if key in run.failed:
        return "failed", run.failed[key]
    if bad := next((parent for parent in above if parent in run.failed and parent not in kept), None):
        return "blocked", f"needs {run.tasks[bad].name}, which failed: {run.failed[bad]}"
    if _is_cancelled(run, key):
        return "cancelled", "only videos that were cancelled need it; the next render makes it"
    missing = [run.tasks[parent.key].name for parent in task.parents if parent.key not in kept]
    return "to make", f"{reason}; waits for {', '.join(missing)}" if missing else str(reason)


def _is_cancelled(run: Run, key: str) -> bool:
    render = run.last_render
    if render is None or not render.cancelled:
        return False
    below = {key, *run.below(key)}
    return all(video.id in render.cancelled for video in run.videos if video.stitch in below)


def _failure(run: Run, key: str) -> LastFailure | None:
    record = last_failure(run.history.records, key)
    if record is None:
        return None
    return LastFailure(record.kind, record.message, record.traceback, record.log)


def _artifact(store: Store, key: str) -> Artifact | None:
    bound = store.lookup(key)
    if bound is None:
        return None
    meta = bound.meta
    location = f"{store.location}/{object_name(bound.digest)}"
    return Artifact(
        location, bound.digest, bound.num_bytes, meta.unit, meta.run_s, meta.peak_bytes, dict(meta.software)
    )


def _matching(tasks: Mapping[str, RecordedTask], asked: str) -> list[str]:
    asked = " ".join(asked.split())
    by_name = [key for key, task in tasks.items() if task.name == asked]
    by_unit = [key for key, task in tasks.items() if task.unit == asked]
    by_key = [key for key in tasks if key.startswith(asked)] if _KEY_PREFIX.fullmatch(asked) else []
    return by_name or by_unit or by_key


def _nearest(tasks: Mapping[str, RecordedTask], asked: str) -> str:
    near = list(_near(tasks, asked))
    if not near:
        return "`ltx-ray plan --all` lists them"
    return f"nearest {'are' if len(near) > 1 else 'is'} {', '.join(near)}"


def _near(tasks: Mapping[str, RecordedTask], asked: str) -> Iterator[str]:
    names = list(dict.fromkeys(task.name for task in tasks.values()))
    yield from difflib.get_close_matches(asked, names, n=3) or [name for name in names if asked in name][:3]
