"""A run and its store: which store a run was rendered with, and where that is now.

A run records the id of its store and where it was: its path, and the way from the run to it. A run that was moved or
copied along with its store finds that one; a path alone proves nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, TypedDict

from ltx_ray.errors import PlanError, StoreAbsent, StoreError, StoreUnusable
from ltx_ray.spec.places import is_uri
from ltx_ray.spec.records import Render
from ltx_ray.spec.redact import redact
from ltx_ray.store.artifacts import ArtifactStore
from ltx_ray.store.identity import is_store, read_identity
from ltx_ray.store.journal import History
from ltx_ray.store.layout import RunLayout
from ltx_ray.store.local import LocalShelf
from ltx_ray.store.open import open_store


class Recorded(NamedTuple):
    """What the last render recorded of its store; None where it did not say."""

    location: str | None = None  #: None also where it may not be written down
    id: str | None = None
    way: str | None = None  #: path from the run's directory to a store that is a directory


class StoreColumns(TypedDict):
    """The columns by which a journal says which store a render uses; see ``records.Render``."""

    store: str
    store_id: str | None
    store_way: str | None


def store_record(layout: RunLayout, store: ArtifactStore) -> StoreColumns:
    """How a journal says that a render uses this store; ``recorded_store`` reads it back."""
    shelf = store.shelf
    return {
        # A location that may hold credentials is left out.
        "store": store.location if redact(store.location, {}) == store.location else "",
        "store_id": read_identity(shelf),
        "store_way": os.path.relpath(shelf.root, layout.path.absolute()) if isinstance(shelf, LocalShelf) else None,
    }


def recorded_store(history: History) -> Recorded:
    """What the last render recorded; nothing where there was none, or the journal is lost."""
    renders = [record for record in history.records if isinstance(record, Render)]
    if not renders:
        return Recorded()
    last = renders[-1]
    return Recorded(last.store or None, last.store_id or None, last.store_way or None)


def find_store(layout: RunLayout, history: History, keys: Iterable[str]) -> ArtifactStore | None:
    """The store that a run was rendered with, wherever both lie now; None if it is not there.

    It is the first of these places with the recorded id: where it lay as seen from the run, beside the run, where it
    was seen last. Where none has it, whatever store lies where that of the run lay. Of a run that recorded no id, the
    one near it that holds any of ``keys``, those of its plan, comes before that.
    """
    recorded = recorded_store(history)
    near = _near(layout, recorded)
    looked = _Looked()
    if recorded.id is not None:
        for place in (*near, recorded.location):
            if (store := looked.at(place)) is not None and read_identity(store.shelf) == recorded.id:
                return store
    else:
        wanted = set(keys)
        for place in near:
            if (store := looked.at(place)) is not None and store.known(wanted):
                return store
    store = looked.at(near[0] if recorded.way else recorded.location or near[0])
    if store is None and looked.fault is not None:
        raise looked.fault
    return store


class _Looked:
    """Stores by their places, each looked for once. A place that cannot be read holds none, unless it is the last."""

    def __init__(self) -> None:
        self._stores: dict[str, ArtifactStore | None] = {}
        self.fault: StoreError | None = None

    def at(self, place: str | None) -> ArtifactStore | None:
        if place is None:
            return None
        if place not in self._stores:
            self._stores[place] = None
            try:
                store = open_store(place, create=False)
                self._stores[place] = store if is_store(store) else None
            except StoreError as error:
                self.fault = error
            except PlanError:
                pass  # a journal is history: what it says may be no place at all
        return self._stores[place]


def store_of(layout: RunLayout, history: History, keys: Iterable[str], *, to_edit: bool = False) -> ArtifactStore:
    """``find_store``, for who needs it.

    Raises:
        StoreAbsent: it is not there.
        StoreUnusable: what is there is ``to_edit`` and was left behind by a run that was moved or
            copied: it may be the original's.
    """
    recorded = recorded_store(history)
    store = find_store(layout, history, keys)
    if store is None:
        raise _not_there(layout, recorded)
    if to_edit and isinstance(store.shelf, LocalShelf) and not _is_any(store, _near(layout, recorded)):
        raise StoreUnusable(
            f"{layout.path}: was moved or copied away from its store, {store.location}; name the store that is meant "
            "with --store"
        )
    return store


def place_to_render(layout: RunLayout, history: History, keys: Iterable[str]) -> str:
    """Where a render of this run keeps what it computes, if nobody names a place: where it did before, or beside it.

    Raises:
        StoreAbsent: the run has a store elsewhere, and that is not there.
    """
    recorded = recorded_store(history)
    if (own := find_store(layout, history, keys)) is not None:
        return own.location
    place = _near(layout, recorded)[0] if recorded.way else recorded.location
    if place not in (None, str(layout.default_store.absolute())):  # that one alone may be begun anew without a word
        raise _not_there(layout, recorded)
    return str(layout.default_store)


def is_own_store(layout: RunLayout, history: History, keys: Iterable[str], store: ArtifactStore) -> bool:
    """Whether the run goes with this very store, not with another one or with a copy of it."""
    own = find_store(layout, history, keys)
    return own is not None and _is_any(own, [store.location])


def _not_there(layout: RunLayout, recorded: Recorded) -> StoreAbsent:
    place = recorded.location or layout.default_store
    return StoreAbsent(
        f"{place}: the store of {layout.path} is not there; was it moved or unmounted? name it with --store"
    )


def _near(layout: RunLayout, recorded: Recorded) -> list[str]:
    """Where the store may be as seen from the run: where it was when it was recorded, and beside it.

    A run that is reached over a link has both at either end.
    """
    ways = [recorded.way] if recorded.way else []
    runs = dict.fromkeys((layout.path.absolute(), layout.path.resolve()))
    places = [os.path.normpath(run / way) for way in ways for run in runs]
    return list(dict.fromkeys([*places, *(str(RunLayout(run).default_store) for run in runs)]))


def _is_any(store: ArtifactStore, places: Iterable[str]) -> bool:
    """Whether one of ``places`` is that of the store."""
    if not isinstance(store.shelf, LocalShelf):
        return store.location in places
    root = store.shelf.root
    return any(not is_uri(place) and Path(place).exists() and root.samefile(place) for place in places)
