"""A task's story: why it ran, was reused or failed, from what is on disk. Works on a live run and on a dead one.

Takes no lock, loads no model and changes nothing.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ltx_ray.errors import PlanError
from ltx_ray.plan.reasons import Reason
from ltx_ray.plan.record import name_of, read_reasons, still_needed
from ltx_ray.run.attempts import (
    Attempt,
    attempts,
    ever_made,
    failures,
    last_failure,
    last_render,
    was_dropped,
)
from ltx_ray.store import run_dir as run_files
from ltx_ray.store.layout import object_name
from ltx_ray.store.lock import read_lock

if TYPE_CHECKING:
    from ltx_ray.store.journal import History
    from ltx_ray.store.layout import RunLayout
    from ltx_ray.store.protocol import Store

    Record = Mapping[str, Any]  #: a line of the plan

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


def tell(layout: RunLayout, records: Sequence[Record], history: History, store: Store, asked: str) -> list[TaskStory]:
    """The stories of all tasks that ``asked`` may mean: a name, a unit, or six and more characters of a key.

    Raises:
        PlanError: no task is called so.
    """
    tasks = {record["key"]: record for record in records if "key" in record}
    found = _matching(tasks, asked)
    if not found:
        raise PlanError(f"{layout.path}: no task is called {asked!r}; {_nearest(tasks, asked)}")
    teller = _Teller(layout, records, history, store, tasks)
    return [teller.story(key) for key in found]


class _Teller:
    """What several stories of one run share."""

    def __init__(
        self, layout: RunLayout, records: Sequence[Record], history: History, store: Store, tasks: dict[str, Any]
    ) -> None:
        self.layout, self.records, self.history, self.store, self.tasks = layout, records, history, store, tasks
        self.children: dict[str, list[tuple[str, str]]] = {}
        for key, task in tasks.items():
            for role, parent in task["parents"]:
                self.children.setdefault(parent, []).append((role, key))
        holder = read_lock(layout.lock)
        self.is_live = holder is not None and holder.life != "dead"
        self.failed = failures(history.records)
        self.made = ever_made(history.records)
        self.reasons = read_reasons(run_files.read_values(layout.reasons))

    def story(self, key: str) -> TaskStory:
        task = self.tasks[key]
        below = self._descendants(key)
        above = self._ancestors(key)
        kept = self.store.known({key, *below, *above})
        made = attempts(self.history.records, {key}, is_live=self.is_live)
        state, why = self._state(key, kept, above, made)
        waiting = [name_of(self.tasks[child]) for child in below if child not in kept]
        return TaskStory(
            name=name_of(task),
            key=key,
            stage=task["stage"],
            unit=task["unit"],
            state=state,
            why=why,
            recipe=task["recipe"],
            parents=self._relatives(task["parents"], kept),
            children=self._relatives(self.children.get(key, ()), kept),
            attempts=tuple(made),
            failure=self._failure(key),
            blocked=tuple(waiting) if state == "failed" else (),
            artifact=self._artifact(key) if key in kept else None,
        )

    def _relatives(self, pairs: Iterable[Sequence[str]], kept: Collection[str]) -> tuple[Relative, ...]:
        return tuple(Relative(role, name_of(self.tasks[key]), key, key in kept) for role, key in pairs)

    def _state(self, key: str, kept: Collection[str], above: Sequence[str], made: Sequence[Attempt]) -> tuple[str, str]:
        reason = self.reasons.get(key, Reason("new"))
        if key in kept:
            if key in self.made:
                return "kept", f"made here; {reason}"
            return "kept", "reused: it was in the store already, made for another run or an earlier state of this one"
        if key not in still_needed(self.records, kept):
            why, dropped = "what it is for is kept", was_dropped(self.history.records, key)
            return "not needed", f"{why}, so it was let go, as `keep` says" if dropped else why
        if made and made[-1].outcome == "running":
            return "running", str(reason)
        if key in self.failed:
            return "failed", self.failed[key]
        if bad := next((parent for parent in above if parent in self.failed and parent not in kept), None):
            return "blocked", f"needs {name_of(self.tasks[bad])}, which failed: {self.failed[bad]}"
        if self._is_cancelled(key):
            return "cancelled", "only videos that were cancelled need it; the next render makes it"
        missing = [name_of(self.tasks[parent]) for _, parent in self.tasks[key]["parents"] if parent not in kept]
        return "to make", f"{reason}; waits for {', '.join(missing)}" if missing else str(reason)

    def _is_cancelled(self, key: str) -> bool:
        render = last_render(self.history.records)
        if render is None or not render.cancelled:
            return False
        below = {key, *self._descendants(key)}
        videos = [record["video"] for record in self.records if "video" in record]
        return all(video["id"] in render.cancelled for video in videos if video["stitch"] in below)

    def _failure(self, key: str) -> LastFailure | None:
        record = last_failure(self.history.records, key)
        if record is None:
            return None
        return LastFailure(record.kind, record.message, record.traceback, record.log)

    def _artifact(self, key: str) -> Artifact | None:
        bound = self.store.lookup(key)
        if bound is None:
            return None
        meta = bound.meta
        location = f"{self.store.location}/{object_name(bound.digest)}"
        return Artifact(
            location, bound.digest, bound.num_bytes, meta.unit, meta.run_s, meta.peak_bytes, dict(meta.software)
        )

    def _descendants(self, key: str) -> list[str]:
        return _reached(key, lambda one: (child for _, child in self.children.get(one, ())))

    def _ancestors(self, key: str) -> list[str]:
        return _reached(key, lambda one: (parent for _, parent in self.tasks[one]["parents"]))


def _reached(key: str, next_to: Callable[[str], Iterable[str]]) -> list[str]:
    """Everything on the way from ``key``, the nearest first, without it."""
    reached: dict[str, None] = {}
    unseen = [key]
    while unseen:
        fresh = [other for one in unseen for other in next_to(one) if other not in reached]
        reached.update(dict.fromkeys(fresh))
        unseen = list(dict.fromkeys(fresh))
    return list(reached)


def _matching(tasks: Mapping[str, Record], asked: str) -> list[str]:
    asked = " ".join(asked.split())
    by_name = [key for key, task in tasks.items() if name_of(task) == asked]
    by_unit = [key for key, task in tasks.items() if task["unit"] == asked]
    by_key = [key for key in tasks if key.startswith(asked)] if _KEY_PREFIX.fullmatch(asked) else []
    return by_name or by_unit or by_key


def _nearest(tasks: Mapping[str, Record], asked: str) -> str:
    near = list(_near(tasks, asked))
    if not near:
        return "`ltx-ray plan --all` lists them"
    return f"nearest {'are' if len(near) > 1 else 'is'} {', '.join(near)}"


def _near(tasks: Mapping[str, Record], asked: str) -> Iterator[str]:
    names = list(dict.fromkeys(map(name_of, tasks.values())))
    yield from difflib.get_close_matches(asked, names, n=3) or [name for name in names if asked in name][:3]
