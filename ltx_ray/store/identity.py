"""Which store is which: an id, written into a store once. A path only says where the store was seen last.

A copy of a store keeps the id, so that a run copied along with it finds the copy. Of several places with one id, the
one nearest to the run is its store (``store.runs``).
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

from ltx_ray.errors import StoreAbsent
from ltx_ray.store.faults import storage_errors
from ltx_ray.store.layout import IDENTITY, KEYS, OBJECTS, TOKENS
from ltx_ray.store.local import LocalShelf

if TYPE_CHECKING:
    from ltx_ray.store.artifacts import ArtifactStore
    from ltx_ray.store.protocol import Shelf


def read_identity(shelf: Shelf) -> str | None:
    """The id of the store on this shelf; None where none was written, or it cannot be read as one."""
    data = shelf.read(IDENTITY)
    return None if data is None else _parse(data)


def write_identity(shelf: Shelf) -> None:
    """Give the store an id unless it has one; of several writers at once, one decides."""
    if read_identity(shelf) is not None:
        return
    # Where files cannot be created whole, a power cut may have left a broken one.
    shelf.remove_if(IDENTITY, lambda data: _parse(data) is None)
    shelf.create(IDENTITY, json.dumps({"schema": 1, "id": secrets.token_hex(16)}).encode("ascii") + b"\n")


def is_store(store: ArtifactStore) -> bool:
    """Whether a store was created here; an empty bucket without an id cannot be told from none."""
    match store.shelf:
        case LocalShelf(root=root):
            with storage_errors(root):
                return (root / KEYS).is_dir()
        case shelf:
            return shelf.read(IDENTITY) is not None or any(shelf.names(folder) for folder in (KEYS, OBJECTS, TOKENS))


def check_is_store(store: ArtifactStore) -> None:
    """Raise StoreAbsent unless a store was created here."""
    if not is_store(store):
        raise StoreAbsent(f"{store.location}: no store is here; name one with --store")


def _parse(data: bytes) -> str | None:
    try:
        said = json.loads(data.decode("ascii"))["id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return said if isinstance(said, str) and said else None
