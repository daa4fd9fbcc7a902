"""What may go of a store, and of runs that have had their time: which runs keep what, decided before anything is
deleted.

Nobody can begin to render a run whose files are on their way out: its lock is held until they are gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ltx_ray.errors import PlanError, RunLocked
from ltx_ray.run.record import Run
from ltx_ray.store import gc
from ltx_ray.store.faults import storage_errors
from ltx_ray.store.identity import check_is_store
from ltx_ray.store.lock import RunLock
from ltx_ray.store.open import open_store
from ltx_ray.store.users import Users, users_of

if TYPE_CHECKING:
    from ltx_ray.run.options import GcOptions
    from ltx_ray.store.artifacts import ArtifactStore

#: The store of runs in the default place.
DEFAULT_STORE = "runs/.store"


@dataclass(frozen=True, slots=True)
class ExpiredRun:
    """A run that has had its time."""

    run_dir: Path
    at_rest_s: float  #: since its journal was last written
    files: tuple[Path, ...]  #: its finished files
    num_bytes: int  #: of these
    keys: frozenset[str]  #: of its plan


@dataclass(frozen=True, slots=True)
class Freed:
    """What was freed, or would be."""

    store: str  #: location
    collected: gc.Collected
    expired: tuple[ExpiredRun, ...]
    num_runs_kept: int
    unseen: tuple[str, ...]  #: runs that registered and cannot be looked at from here: machine and directory
    is_done: bool  #: False = nothing was deleted


def free(options: GcOptions) -> Freed:
    """Free what ``options`` say, or say what would be freed. Writes nothing, so a full disk is fine.

    Raises:
        PlanError: the runs and the store do not go together, or all would go and nobody said so.
        StoreError: there is no store, or a run that may need it cannot be read.
    """
    named = options.keep_runs
    if named and options.keep_none:
        raise PlanError(f"--keep-none: --keep-run names {_listed(named)}; give one of the two")
    store = open_store(_store_of(named) if options.store is None else options.store, create=False)
    users = _users(options, store)
    with ExitStack() as locks:
        expired: tuple[ExpiredRun, ...] = ()
        if options.ttl_s is not None:
            expired = tuple(_expired(users, store, options.ttl_s, locks if options.delete else None))
        limits = (limit for limit in (options.older_than_s, options.ttl_s) if limit is not None)
        collected = gc.collect(
            store,
            keep=users.keys(but=[run.run_dir for run in expired]),
            expired=frozenset().union(*(run.keys for run in expired)),
            stale=users.stale,
            older_than_s=options.older_than_s,
            max_bytes=options.max_bytes,
            young_s=min([gc.YOUNG_S, *limits]),
            dry_run=not options.delete,
        )
        for file in (file for run in expired for file in run.files if options.delete):
            file.unlink(missing_ok=True)
    unseen = tuple(user.where for user in users.unseen)
    return Freed(store.location, collected, expired, users.num_runs - len(expired), unseen, options.delete)


def _expired(users: Users, store: ArtifactStore, ttl_s: float, locks: ExitStack | None) -> Iterator[ExpiredRun]:
    """Runs of this very store that have had their time; each is judged again under its lock, which ``locks`` takes."""
    for layout in users.runs:
        run = Run.open(layout.path)
        found = None if run.is_live else _at_rest(run)
        if found is None or found.at_rest_s < ttl_s or not run.goes_with(store):
            continue
        if locks is not None:
            try:
                locks.enter_context(RunLock(layout.lock, waits=False))
            except RunLocked:
                continue
            found = _at_rest(Run.open(layout.path))
        if found is not None and found.at_rest_s >= ttl_s:
            yield found


def _at_rest(run: Run) -> ExpiredRun | None:
    """The run if every file of it is in place, and where it is wanted."""
    files = tuple(map(run.file, run.videos))
    with storage_errors(run.layout.path):
        if not all(video.path in run.published for video in run.videos) or not all(file.is_file() for file in files):
            return None
        if any(run.unsent_to(video) for video in run.videos):
            return None
        num_bytes = sum(file.stat().st_size for file in files)
    return ExpiredRun(run.layout.path, run.at_rest_s(), files, num_bytes, frozenset(run.tasks))


def _users(options: GcOptions, store: ArtifactStore) -> Users:
    """The runs to keep: those named, or every one that is known to use the store."""
    check_is_store(store)
    if options.keep_none:
        return Users(stale=users_of(store).stale)
    if not options.keep_runs:
        found = users_of(store)
        is_limited = options.older_than_s is not None or options.max_bytes is not None
        if is_limited and not found.num_runs and store.keys():
            raise PlanError(
                f"{store.location}: no run that uses it is known, so all of it would go; name those to keep with "
                "--keep-run, or say --keep-none"
            )
        return found
    users = Users(tuple(Run(path).layout for path in options.keep_runs))
    keep = users.keys()
    if (bound := store.keys()) and keep.isdisjoint(bound):
        raise PlanError(
            f"--keep-run: {store.location} holds nothing of {_listed(options.keep_runs)}; name their store with --store"
        )
    return users


def _store_of(runs: Sequence[str | Path]) -> str:
    """The one store that ``runs`` were rendered with."""
    stores = sorted({Run.open(path).open_store(to_edit=True).location for path in runs})
    if len(stores) > 1:
        raise PlanError(
            f"--keep-run: {_listed(runs)} have several stores; name one of them with --store: {_listed(stores)}"
        )
    return stores[0] if stores else DEFAULT_STORE


def _listed(things: Sequence[str | Path]) -> str:
    return ", ".join(map(str, things))
