"""Deletes what nothing needs. Safe while runs go on: only what is old enough, and no file of a live process.

A commit writes its object (again) right before binding it, so an object that somebody is about to bind is young.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ltx_ray.errors import KeyFileBroken
from ltx_ray.store.artifacts import ArtifactStore
from ltx_ray.store.key_file import read_head
from ltx_ray.store.layout import KEYS, OBJECTS, digest_of, key_name, object_name

#: Longer than any commit takes.
YOUNG_S = 3600.0


@dataclass(frozen=True, slots=True)
class Collected:
    num_keys: int  #: bindings removed
    num_objects: int
    num_bytes: int  #: freed, objects and temporary files


def collect(
    store: ArtifactStore, *, keep: Iterable[str] | None = None, young_s: float = YOUNG_S, dry_run: bool = False
) -> Collected:
    """Delete objects that no key is bound to and files of dead writers, all older than ``young_s``.

    With ``keep``, keys that are not in it are forgotten first, those older than ``young_s``; broken key files too.
    """
    shelf = store.shelf
    # Objects are listed before the key files: what is bound in between is on the first list and found on the second.
    objects = {digest: name for name in shelf.names(OBJECTS) if (digest := digest_of(name))}
    keep_names = None if keep is None else {key_name(key) for key in keep}
    bound, doomed = set[str](), set[str]()
    for name, data in shelf.read_many(shelf.names(KEYS)):
        try:
            head = read_head(data, where=f"{store.location}/{name}")
        except KeyFileBroken:
            head = None
        if head and (keep_names is None or name in keep_names or _is_young(store, name, young_s)):
            bound.add(head.digest)
        elif keep_names is not None:
            doomed.add(name)
    garbage = [object_name(digest) for digest in objects if digest not in bound]
    garbage = [name for name in garbage if not _is_young(store, name, young_s)]
    num_bytes = sum(shelf.sizes(garbage).values())
    if not dry_run:
        for name in (*doomed, *garbage):
            shelf.remove(name)
        num_bytes += shelf.drop_temps(young_s)
    return Collected(len(doomed), len(garbage), num_bytes)


def _is_young(store: ArtifactStore, name: str, young_s: float) -> bool:
    age = store.shelf.age_s(name)
    return age is None or age < young_s
