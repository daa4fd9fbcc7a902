"""Deletes what nothing needs. Safe while runs go on: only what is old enough, and no file of a live process.

A commit writes its object (again) right before binding it, so an object that somebody is about to bind is young.
Nothing is ever written here: this is what a person turns to when the disk is full.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ltx_ray.errors import KeyFileBroken, StoreUnusable
from ltx_ray.store.artifacts import ArtifactStore
from ltx_ray.store.key_file import read_head
from ltx_ray.store.layout import KEYS, OBJECTS, TOKENS, digest_of, key_name
from ltx_ray.store.local import LocalShelf

#: Longer than any commit takes.
YOUNG_S = 3600.0
#: A token is read back within minutes of being written; after this long its writer is gone.
STALE_TOKEN_S = 86400.0


@dataclass(frozen=True, slots=True)
class Collected:
    num_keys: int  #: bindings removed
    num_objects: int
    num_tokens: int
    num_bytes: int  #: freed, objects, tokens and temporary files
    num_young: int  #: keys and objects that would have been removed, had they been older


def collect(
    store: ArtifactStore, *, keep: Iterable[str] | None = None, young_s: float = YOUNG_S, dry_run: bool = False
) -> Collected:
    """Delete objects that no key is bound to and files of dead writers, all older than ``young_s``; and stale tokens.

    With ``keep``, keys that are not in it are forgotten first, those older than ``young_s``; broken key files too.
    Raises:
        StoreUnusable: there is no store.
    """
    _check_is_store(store)
    shelf = store.shelf
    # Objects are listed before the key files: what is bound in between is on the first list and found on the second.
    objects = {digest: name for name in shelf.names(OBJECTS) if (digest := digest_of(name))}
    bound, unwanted = _bound(store, None if keep is None else {key_name(key) for key in keep})
    doomed = {name for name in unwanted if _is_older(store, name, young_s)}
    bound.update(digest for name, digest in unwanted.items() if digest and name not in doomed)
    unbound = [name for digest, name in objects.items() if digest not in bound]
    garbage = [name for name in unbound if _is_older(store, name, young_s)]
    tokens = [name for name in shelf.names(TOKENS) if _is_older(store, name, STALE_TOKEN_S)]
    num_bytes = sum(shelf.sizes([*garbage, *tokens]).values())
    if not dry_run:
        # Keys first: one whose object is gone counts as absent all the same, but nobody need find that out.
        for name in (*doomed, *garbage, *tokens):
            shelf.remove(name)
        num_bytes += shelf.drop_temps(young_s)
    num_young = len(unwanted) - len(doomed) + len(unbound) - len(garbage)
    return Collected(len(doomed), len(garbage), len(tokens), num_bytes, num_young)


def _bound(store: ArtifactStore, keep: set[str] | None) -> tuple[set[str], dict[str, str | None]]:
    """Digests bound by key files in ``keep``; and every other key file with its digest, ``None`` if it is broken."""
    bound, unwanted = set[str](), dict[str, str | None]()
    for name, data in store.shelf.read_many(store.shelf.names(KEYS)):
        try:
            digest = read_head(data, where=f"{store.location}/{name}").digest
        except KeyFileBroken:
            digest = None
        if digest and (keep is None or name in keep):
            bound.add(digest)
        elif keep is not None:
            unwanted[name] = digest
    return bound, unwanted


def _check_is_store(store: ArtifactStore) -> None:
    """Raise unless a store was made here; in a bucket, an empty one cannot be told from none."""
    match store.shelf:
        case LocalShelf(root=root):
            is_store = (root / KEYS).is_dir()
        case shelf:
            is_store = any(shelf.names(folder) for folder in (KEYS, OBJECTS, TOKENS))
    if not is_store:
        raise StoreUnusable(f"{store.location}: no store is here; name one with --store")


def _is_older(store: ArtifactStore, name: str, than_s: float) -> bool:
    age = store.shelf.age_s(name)
    return age is not None and age >= than_s
