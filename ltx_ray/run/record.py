"""A run as it lies on disk, opened once and asked: its plan, its journal, its lock, its store.

Asking changes nothing and needs no lock. Each file is read once, when it is first asked for, so every answer of one
``Run`` is of one moment; whoever wants to see what changed opens the run again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ltx_ray.plan.dag import outputs_of
from ltx_ray.plan.record import RecordedTask, RecordedVideo, last_plan, read_reasons
from ltx_ray.run.attempts import Attempt, LastRender, attempts, ever_made, failures, last_render
from ltx_ray.spec.records import Sent
from ltx_ray.spec.task import wanted
from ltx_ray.store import run_dir
from ltx_ray.store.faults import storage_errors
from ltx_ray.store.journal import History, read_journal
from ltx_ray.store.layout import RunLayout
from ltx_ray.store.lock import Holder, read_lock
from ltx_ray.store.open import open_existing
from ltx_ray.store.place import check_store, run_path
from ltx_ray.store.runs import is_own_store, place_to_render, store_of

if TYPE_CHECKING:
    from ltx_ray.plan.reasons import LastPlan, Reason
    from ltx_ray.store.artifacts import ArtifactStore


class Run:
    """What there is at a run directory, also nothing: odd lines of its plan are passed over, as for a render.

    Who acts on a run opens it with ``open``.
    """

    def __init__(self, path: str | Path, *, store: str | None = None, history: History | None = None) -> None:
        """Args:
            path: its directory.
            store: where its store is; None = where the run says.
            history: of its journal, by who holds that open.

        Raises:
            PlanError: ``path`` is no directory of this machine.
        """
        self.layout = RunLayout(run_path(path))
        self._named = store
        if history is not None:
            self.history = history

    @classmethod
    def open(cls, path: str | Path, *, store: str | None = None) -> Self:
        """The run that a render made at ``path``, its plan whole.

        Raises:
            PlanError: no run is here.
            StoreError: its plan or its journal cannot be read.
        """
        run = cls(path, store=store)
        run._records = run_dir.read_plan(run.layout)
        run.history = read_journal(run.layout.journal)
        return run

    @cached_property
    def _records(self) -> list[dict[str, Any]]:
        return run_dir.read_lines(self.layout.plan)

    @cached_property
    def history(self) -> History:
        """What its journal says."""
        return read_journal(self.layout.journal)

    @cached_property
    def tasks(self) -> dict[str, RecordedTask]:
        """By key, parents before children."""
        return {record["key"]: RecordedTask.of(record) for record in self._records if "key" in record}

    @cached_property
    def videos(self) -> tuple[RecordedVideo, ...]:
        return tuple(RecordedVideo.of(record) for record in self._records if "video" in record)

    @cached_property
    def children(self) -> Mapping[str, list[tuple[str, str]]]:
        """By key, the role and the key of each task that needs it; nothing for a task that none needs."""
        found: dict[str, list[tuple[str, str]]] = {}
        for key, task in self.tasks.items():
            for role, parent in task.parents:
                found.setdefault(parent, []).append((role, key))
        return found

    def above(self, key: str) -> list[str]:
        """Keys of all that a task is made of, the nearest first."""
        return _reached(key, lambda one: (parent.key for parent in self.tasks[one].parents))

    def below(self, key: str) -> list[str]:
        """Keys of all that is made of a task, the nearest first."""
        return _reached(key, lambda one: (child for _, child in self.children.get(one, ())))

    def last_plan(self) -> LastPlan | None:
        """What a new plan is compared with; None if there was none, or one of another schema."""
        return last_plan(self._records, self.made)

    @cached_property
    def reasons(self) -> Mapping[str, Reason]:
        """Why tasks were made when they were made last, by key; one that was simply new has no entry."""
        return read_reasons(run_dir.read_values(self.layout.reasons))

    def open_store(self, *, to_edit: bool = False) -> ArtifactStore:
        """The store that was named, or else the run's own, wherever both lie now.

        Raises:
            StoreAbsent: it is not there.
            StoreUnusable: it is ``to_edit`` and may be another run's.
        """
        if self._named is not None:
            return open_existing(self._named)
        return store_of(self.layout, self.history, self._keys(), to_edit=to_edit)

    @cached_property
    def store(self) -> ArtifactStore:
        """``open_store``, once."""
        return self.open_store()

    def goes_with(self, store: ArtifactStore) -> bool:
        """Whether this very store is the run's own, not another one or a copy of it."""
        return is_own_store(self.layout, self.history, self._keys(), store)

    @cached_property
    def kept(self) -> frozenset[str]:
        """Keys of the tasks whose artifact is in the store."""
        return frozenset(self.store.known(self.tasks))

    def needed(self, kept: Collection[str] | None = None) -> set[str]:
        """Keys that a render would make: what a video waits for, given what is ``kept``, None = in the store."""
        kept = self.kept if kept is None else kept
        return wanted(self.tasks, outputs_of(self.videos), kept).difference(kept)

    def is_finished(self, video: RecordedVideo, kept: Collection[str]) -> bool:
        """Whether the file is in its place and what it was made of is among the ``kept`` keys."""
        return video.stitch in kept and self.file(video).exists()

    def file(self, video: RecordedVideo) -> Path:
        """Where the finished file of a video belongs."""
        return self.layout.videos / video.path

    def place_to_render(self) -> str:
        """Where a render keeps what it computes: as named, where it did before, or beside the run.

        Raises:
            PlanError: what was named is no place of a store.
            StoreAbsent: the run has a store elsewhere, and that is not there.
        """
        if self._named is not None:
            check_store(self._named)  # before a directory of the run is made
            return self._named
        return place_to_render(self.layout, self.history, self._keys())

    @cached_property
    def made(self) -> set[str]:
        """Keys of tasks that a render of this run has finished, whether or not they are still kept."""
        return ever_made(self.history.records)

    @cached_property
    def failed(self) -> Mapping[str, str]:
        """Tasks that failed for good and were not made since: key -> why."""
        return failures(self.history.records)

    @cached_property
    def last_render(self) -> LastRender | None:
        """None = nothing was rendered, or the journal is lost."""
        return last_render(self.history.records)

    @cached_property
    def published(self) -> Mapping[str, tuple[str, int]]:
        """Digest and size in bytes of the file last put at each path below ``videos/``."""
        return run_dir.published(self.history)

    @cached_property
    def sent(self) -> Mapping[str, str]:
        """Digest of the file last sent to each target."""
        return {record.target: record.digest for record in self.history.records if isinstance(record, Sent)}

    def unsent_to(self, video: RecordedVideo) -> str | None:
        """Where the finished file of a video is wanted and was not sent, by the journal; None = nowhere."""
        digest, _ = self.published.get(video.path, ("", 0))
        return None if video.target is None or self.sent.get(video.target) == digest else video.target

    def attempts(self, tasks: Collection[str]) -> list[Attempt]:
        """Every attempt at these tasks, in order of dispatch."""
        return attempts(self.history.records, tasks, is_live=self.is_live)

    @cached_property
    def holder(self) -> Holder | None:
        """Whose lock is on the run, dead or alive."""
        return read_lock(self.layout.lock)

    @property
    def is_live(self) -> bool:
        """Whether somebody renders it, as far as can be seen from here."""
        return self.holder is not None and self.holder.life != "dead"

    def at_rest_s(self) -> float:
        """Seconds since its journal was last written."""
        with storage_errors(self.layout.path):
            return time.time() - self.layout.journal.stat().st_mtime

    def _keys(self) -> Iterator[str]:
        return run_dir.planned_keys(self._records)


def _reached(key: str, next_to: Callable[[str], Iterable[str]]) -> list[str]:
    """Everything on the way from ``key``, the nearest first, without it."""
    reached: dict[str, None] = {}
    unseen = [key]
    while unseen:
        fresh = [other for one in unseen for other in next_to(one) if other not in reached]
        reached.update(dict.fromkeys(fresh))
        unseen = list(dict.fromkeys(fresh))
    return list(reached)
