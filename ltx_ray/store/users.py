"""Which runs use a store: what each run wrote into it, and what is found around it. In doubt a run counts as a user.

Every render registers its run in the store with the keys of its plan, so that a run is known wherever it lies: beside
the store or not, on another machine, under another mount point. Runs that never registered are looked for near the
store. A run counts no more when its own machine sees that its directory was deleted.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from ltx_ray.errors import StoreError, StoreUnusable
from ltx_ray.store import run_dir
from ltx_ray.store.artifacts import ArtifactStore
from ltx_ray.store.faults import storage_errors
from ltx_ray.store.layout import FOLDERS, USERS, RunLayout, is_hash
from ltx_ray.store.local import LocalShelf
from ltx_ray.store.owner import this_machine

#: How far below the directory of a store runs are looked for, and in how many directories at most.
_MAX_DEPTH, _MAX_FOLDERS = 3, 5000


class Unseen(NamedTuple):
    """A run that registered and whose directory cannot be looked at from here."""

    where: str  #: machine and directory, as it registered
    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class Users:
    runs: tuple[RunLayout, ...] = ()  #: in order of their paths
    unseen: tuple[Unseen, ...] = ()
    #: What runs that were deleted since wrote into the store, by its name there.
    stale: Mapping[str, bytes] = field(default_factory=dict)

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
    if isinstance(shelf := store.shelf, LocalShelf):
        with storage_errors(shelf.root):
            (shelf.root / USERS).mkdir(exist_ok=True)  # stores of before runs were known lack it
    name = f"{USERS}/{sha256(os.fsencode(f'{entry.machine}:{entry.run}:{entry.beside}')).hexdigest()[:32]}"
    head = json.dumps({"schema": 1, **entry._asdict()}, ensure_ascii=True)
    said = "".join(f"{line}\n" for line in (head, *keys)).encode("ascii")
    content = sha256(said).hexdigest().encode("ascii") + b"\n" + said
    if shelf.read(name) != content:
        shelf.put(name, content)


def users_of(store: ArtifactStore) -> Users:
    """Every run that is known to use the store, or may use it.

    A run beside the store counts, whatever its journal says; one further off if the store holds a key of its plan.

    Raises:
        StoreError: a directory or a plan that must be looked at cannot be read, or there are too many to look at.
    """
    found: dict[Path, RunLayout] = {}
    unseen, stale = [], {}
    for name, data in store.shelf.read_many(store.shelf.names(USERS)):
        entry, keys = _read(data, where=f"{store.location}/{name}")
        runs = [RunLayout(place) for place in _places(store, entry) if _is_run(place)]
        found.update((layout.path.resolve(), layout) for layout in runs)
        if runs and (entry.machine == this_machine() or any(keys <= keys_of(layout) for layout in runs)):
            continue
        if entry.machine == this_machine() and _is_deleted(store, entry):
            stale[name] = data
        else:
            unseen.append(Unseen(f"{entry.machine}:{entry.run}", keys))
    if isinstance(store.shelf, LocalShelf):
        found |= {place.resolve(): RunLayout(place) for place in _near(store, store.shelf.root, found)}
    return Users(tuple(sorted(found.values(), key=lambda layout: layout.path)), tuple(unseen), stale)


def keys_of(layout: RunLayout) -> set[str]:
    """Every key of the run's plan. Raises as ``run_dir.read_plan``: of a run that cannot be read nothing is known."""
    return set(run_dir.planned_keys(run_dir.read_plan(layout)))


class _Entry(NamedTuple):
    """Where a run lies, as it registered. A path means something on its machine, and in the tree of its store."""

    run: str  #: absolute path
    machine: str
    beside: str | None  #: path from the store's directory; None for a bucket


def _entry_of(store: ArtifactStore, layout: RunLayout) -> _Entry:
    run = str(layout.path.absolute())
    shelf = store.shelf
    beside = os.path.relpath(run, shelf.root) if isinstance(shelf, LocalShelf) else None
    return _Entry(run, this_machine(), beside)


def _read(data: bytes, *, where: str) -> tuple[_Entry, frozenset[str]]:
    """What a run wrote.

    Raises:
        StoreUnusable: it is damaged, so that nothing is known of what the run needs.
    """
    digest, _, said = data.partition(b"\n")
    if sha256(said).hexdigest().encode("ascii") != digest:
        raise StoreUnusable(
            f"{where}: what a run wrote of its needs is damaged; name the runs that count with --keep-run, or remove "
            "it if none does: the next render of the run writes it again"
        )
    head, *keys = said.decode("ascii").splitlines()
    fields = json.loads(head)
    return _Entry(fields["run"], fields["machine"], fields["beside"]), frozenset(filter(is_hash, keys))


def _places(store: ArtifactStore, entry: _Entry) -> Iterator[Path]:
    """Where this very run may be seen: in the tree of its store, which moves as a whole, and on its machine."""
    if (place := _place_beside(store, entry)) is not None:
        yield place
    if entry.machine == this_machine():
        yield Path(entry.run)


def _place_beside(store: ArtifactStore, entry: _Entry) -> Path | None:
    """Where the run is as seen from the store, if that is one file system; across two it proves nothing."""
    if entry.beside is None or not isinstance(store.shelf, LocalShelf):
        return None
    place = Path(os.path.normpath(store.shelf.root / entry.beside))
    with suppress(OSError):
        if place.parent.stat().st_dev == store.shelf.root.stat().st_dev:
            return place
    return None


def _is_run(place: Path) -> bool:
    with suppress(OSError):  # not to be looked at: whether it is one is not known
        return RunLayout(place).plan.is_file()
    return False


def _is_deleted(store: ArtifactStore, entry: _Entry) -> bool:
    """Whether the directory that held a run of this machine is here and holds it no more; elsewhere it may still be."""
    place = Path(entry.run)
    is_near = _place_beside(store, entry) == place and Path(store.location).parent in place.parents
    with suppress(OSError):
        # An empty directory may be where a disk was mounted.
        return place.parent.is_dir() and not place.exists() and (is_near or any(place.parent.iterdir()))
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
                if place in seen or (folder == store and child.name in FOLDERS):
                    continue
                if depth > 0 and len(seen) >= _MAX_FOLDERS:
                    raise StoreUnusable(
                        f"{top}: has more than {_MAX_FOLDERS} directories, too many to look for the runs that use "
                        f"{store}; name those that do with --keep-run"
                    )
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
