"""Which runs use a store: what each run wrote into it, and what is found around it. In doubt a run counts as a user.

Every render registers its run in the store with the keys of its plan, so that a run is known wherever it lies: beside
the store or not, on another machine, under another mount point. Runs that never registered are looked for near the
store. A run whose directory was deleted uses it no more.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from ltx_ray.errors import StoreError
from ltx_ray.store import run_dir
from ltx_ray.store.artifacts import ArtifactStore
from ltx_ray.store.faults import storage_errors
from ltx_ray.store.layout import FOLDERS, USERS, RunLayout, is_hash
from ltx_ray.store.local import LocalShelf

#: How far below the directory of a store runs are looked for, and in how many directories at most.
_MAX_DEPTH, _MAX_FOLDERS = 3, 5000


class Unseen(NamedTuple):
    """A run that registered and whose directory cannot be looked at from here."""

    where: str  #: host and directory, as it registered
    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class Users:
    runs: tuple[RunLayout, ...]  #: in order of their paths
    unseen: tuple[Unseen, ...]
    stale: tuple[str, ...]  #: names in the store of what runs wrote that were deleted since

    @property
    def num_runs(self) -> int:
        return len(self.runs) + len(self.unseen)

    def keys(self, *, but: Collection[Path] = ()) -> set[str]:
        """Every key that these runs need, without those at the paths ``but``.

        Raises:
            StoreError: the plan of one cannot be read, so nothing is known of what it needs.
        """
        others = {path.resolve() for path in but}
        seen = {key for layout in self.runs if layout.path.resolve() not in others for key in keys_of(layout)}
        return seen.union(*(user.keys for user in self.unseen))


def register(store: ArtifactStore, layout: RunLayout, keys: Iterable[str]) -> None:
    """Write down that this run uses the store, and what it needs; replaces what it wrote before.

    Raises:
        StoreError: the store cannot be written.
    """
    entry = _entry_of(store, layout)
    head = json.dumps({"schema": 1, **entry._asdict()}, ensure_ascii=True)
    name = f"{USERS}/{sha256((entry.beside or f'{entry.host}:{entry.run}').encode()).hexdigest()[:32]}"
    content = "\n".join((head, *keys, "")).encode("ascii")
    if store.shelf.read(name) != content:
        store.shelf.put(name, content)


def users_of(store: ArtifactStore) -> Users:
    """Every run that is known to use the store, or may use it.

    A run beside the store counts, whatever its journal says; one further off if the store holds a key of its plan.

    Raises:
        StoreError: a directory or a plan that must be looked at cannot be read.
    """
    found: dict[Path, RunLayout] = {}
    unseen, stale = [], []
    for name, entry, keys in _registered(store):
        places = list(_places(store, entry))
        runs = [place for place in places if _is_run(place)]
        found.update((place.resolve(), RunLayout(place)) for place in runs)
        if not runs and any(_is_deleted(store, entry, place) for place in places):
            stale.append(name)
        elif not runs:
            unseen.append(Unseen(f"{entry.host}:{entry.run}", keys))
    if isinstance(store.shelf, LocalShelf):
        found |= {place.resolve(): RunLayout(place) for place in _near(store, store.shelf.root, found)}
    runs_found = sorted(found.values(), key=lambda layout: layout.path)
    return Users(tuple(runs_found), tuple(unseen), tuple(stale))


def keys_of(layout: RunLayout) -> set[str]:
    """Every key of the run's plan. Raises as ``run_dir.read_plan``: of a run that cannot be read nothing is known."""
    return {record["key"] for record in run_dir.read_plan(layout) if "key" in record}


class _Entry(NamedTuple):
    """Where a run lies, as it registered."""

    run: str  #: absolute path
    host: str
    beside: str | None  #: path from the store's directory; None for a bucket


def _entry_of(store: ArtifactStore, layout: RunLayout) -> _Entry:
    run = str(layout.path.absolute())
    shelf = store.shelf
    beside = os.path.relpath(run, shelf.root) if isinstance(shelf, LocalShelf) else None
    return _Entry(run, socket.gethostname(), beside)


def _registered(store: ArtifactStore) -> Iterator[tuple[str, _Entry, frozenset[str]]]:
    """What runs wrote, by its name in the store; an entry that cannot be read says nothing."""
    for name, data in store.shelf.read_many(store.shelf.names(USERS)):
        with suppress(ValueError, KeyError, TypeError, RecursionError):
            head, *keys = data.decode("ascii").splitlines()
            said = json.loads(head)
            beside = said["beside"]
            entry = _Entry(str(said["run"]), str(said["host"]), None if beside is None else str(beside))
            yield name, entry, frozenset(filter(is_hash, keys))


def _places(store: ArtifactStore, entry: _Entry) -> Iterator[Path]:
    """Where the run may lie now: as seen from the store, and where it was."""
    if entry.beside is not None and isinstance(store.shelf, LocalShelf):
        yield Path(os.path.normpath(store.shelf.root / entry.beside))
    yield Path(entry.run)


def _is_run(place: Path) -> bool:
    with suppress(OSError):  # not to be looked at: whether it is one is not known
        return RunLayout(place).plan.is_file()
    return False


def _is_deleted(store: ArtifactStore, entry: _Entry, place: Path) -> bool:
    """Whether the directory that held the run is here and holds it no more; elsewhere it may still be."""
    with suppress(OSError):
        if not place.parent.is_dir() or place.exists():
            return False
        if isinstance(store.shelf, LocalShelf) and store.shelf.root.parent in place.parents:
            return True
        # An empty directory may be where a disk was mounted.
        return entry.host == socket.gethostname() and any(place.parent.iterdir())
    return False


def _near(store: ArtifactStore, root: Path, known: Collection[Path]) -> Iterator[Path]:
    """Runs near the store that use it, or that nobody can say it of, without those ``known`` by their real paths."""
    beside = {root.parent, root.resolve().parent}
    bound: set[str] | None = None
    for place in _around(root):
        if place.resolve() not in known and place.parent not in beside:
            bound = store.keys() if bound is None else bound
            with suppress(StoreError):  # what cannot be read may use it
                if keys_of(RunLayout(place)).isdisjoint(bound):
                    continue
        yield place


def _around(root: Path) -> Iterator[Path]:
    """Runs near a store: beside and inside it, around it, and some levels below its directory.

    A store that is reached over a link has neighbours at both ends.
    """
    seen: set[Path] = set()
    for top in dict.fromkeys((root, root.resolve())):
        yield from (folder for folder in top.parents if _is_run(folder))
        yield from _below(top.parent, top, seen)
        yield from _below(top, top, seen)


def _below(top: Path, store: Path, seen: set[Path]) -> Iterator[Path]:
    """Runs in directories below ``top``, breadth first; not inside runs, nor inside what belongs to a store."""
    level = [top]
    for depth in range(_MAX_DEPTH):
        below = []
        for folder in level:
            for child in _folders(folder, must=depth == 0):
                place = child.resolve()
                if place in seen or (folder == store and child.name in FOLDERS) or len(seen) >= _MAX_FOLDERS:
                    continue
                seen.add(place)
                if _is_run(child):
                    yield child
                elif child != store and not (child.name.startswith(".") or child.is_symlink()):
                    below.append(child)
        level = below


def _folders(folder: Path, *, must: bool) -> list[Path]:
    """Directories in a directory, by name; of one that may not be looked at none, unless it must be."""
    with suppress(*(() if must else (StoreError,))), storage_errors(folder):
        return sorted(path for path in folder.iterdir() if path.is_dir())
    return []
