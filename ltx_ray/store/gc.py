"""Deletes what nothing needs. Safe while runs go on: only what is old enough, and no file of a live process.

A commit writes its object (again) right before binding it, so an object that somebody is about to bind is young.
Nothing is ever written here: this is what a person turns to when the disk is full.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ltx_ray.errors import KeyFileBroken
from ltx_ray.store.artifacts import ArtifactStore
from ltx_ray.store.identity import check_is_store
from ltx_ray.store.key_file import read_head
from ltx_ray.store.layout import KEYS, OBJECTS, TOKENS, digest_of, key_name, key_of, object_name
from ltx_ray.store.protocol import Listed

#: Longer than any commit takes.
YOUNG_S = 3600.0
#: A token is read back within minutes of being written; after this long its writer is gone.
STALE_TOKEN_S = 86400.0


@dataclass(frozen=True, slots=True)
class Collected:
    num_keys: int  #: bindings removed
    num_objects: int
    num_tokens: int
    num_bytes: int  #: freed: objects, tokens and temporary files
    num_young: int  #: keys and objects that nothing needs and that stay for their age
    num_left: int  #: objects that stay
    num_bytes_left: int  #: of these


def collect(
    store: ArtifactStore,
    *,
    keep: Iterable[str] = (),
    expired: Iterable[str] = (),
    stale: Mapping[str, bytes] | None = None,
    older_than_s: float | None = None,
    max_bytes: int | None = None,
    young_s: float = YOUNG_S,
    dry_run: bool = False,
) -> Collected:
    """Delete objects that no key is bound to, stale tokens and what dead writers left.

    Keys that are not in ``keep`` are forgotten first: those in ``expired``; those not written for ``older_than_s``,
    broken ones among them; and then the oldest while more than ``max_bytes`` stay. ``None`` is no limit. Nothing
    younger than ``young_s`` is touched.

    ``stale``: what deleted runs wrote of themselves, by its name; it goes as well, unless it was written anew since.

    Raises:
        StoreUnusable: there is no store.
    """
    check_is_store(store)
    shelf = store.shelf
    stock = _Stock(store, {key_name(key) for key in keep}, young_s)
    outdated = {key_name(key) for key in expired}
    spared = []
    for name in stock.loose:
        is_too_old = older_than_s is not None and stock.keys[name].age_s >= older_than_s
        stock.forget(name) if name in outdated or is_too_old else spared.append(name)
    for name in sorted(spared, key=lambda name: -stock.keys[name].age_s):
        if max_bytes is None or stock.num_bytes_left <= max_bytes:
            break
        stock.forget(name)
    tokens = {name: listed for name, listed in shelf.listing(TOKENS).items() if listed.age_s >= STALE_TOKEN_S}
    num_bytes = stock.num_bytes - stock.num_bytes_left + sum(listed.num_bytes for listed in tokens.values())
    if not dry_run:
        # Keys first: one whose object is gone counts as absent all the same, but nobody need find that out.
        for name in (*stock.forgotten, *tokens):
            shelf.remove(name)
        for name, judged in (stale or {}).items():
            shelf.remove_if(name, judged.__eq__)
        for digest in stock.garbage:
            # Since the listing somebody may have written it again, to bind it.
            if (age_s := shelf.age_s(object_name(digest))) is not None and age_s >= young_s:
                shelf.remove(object_name(digest))
    num_bytes += shelf.drop_temps(young_s, dry_run=dry_run)
    return Collected(
        num_keys=len(stock.forgotten),
        num_objects=len(stock.garbage),
        num_tokens=len(tokens),
        num_bytes=num_bytes,
        num_young=stock.num_young(older_than_s is not None),
        num_left=len(stock.objects) - len(stock.garbage),
        num_bytes_left=stock.num_bytes_left,
    )


class _Stock:
    """What a store holds, what of it may go, and what is decided to go."""

    def __init__(self, store: ArtifactStore, keep: Collection[str], young_s: float) -> None:
        self._young_s = young_s
        # Objects are listed before the key files: what is bound in between is here and found bound there.
        listed = store.shelf.listing(OBJECTS).items()
        self.objects: dict[str, Listed] = {digest: entry for name, entry in listed if (digest := digest_of(name))}
        # What else lies there is not ours to judge.
        self.keys = {name: entry for name, entry in store.shelf.listing(KEYS).items() if key_of(name)}
        self._digests = _digests(store, self.keys)
        self._num_bound = Counter(digest for digest in self._digests.values() if digest)
        self._unkept = [name for name, digest in self._digests.items() if digest is None or name not in keep]
        self.loose = [name for name in self._unkept if self.keys[name].age_s >= young_s]
        self.forgotten: list[str] = []
        self.garbage = {digest for digest in self.objects if self._is_garbage(digest)}
        self.num_bytes = sum(entry.num_bytes for entry in self.objects.values())
        self.num_bytes_left = self.num_bytes - sum(self.objects[digest].num_bytes for digest in self.garbage)

    def forget(self, name: str) -> None:
        self.forgotten.append(name)
        if (digest := self._digests[name]) is None:
            return
        self._num_bound[digest] -= 1
        if digest in self.objects and self._is_garbage(digest):
            self.garbage.add(digest)
            self.num_bytes_left -= self.objects[digest].num_bytes

    def num_young(self, by_age: bool) -> int:
        """Objects that no key is bound to and, if keys go by age, those that nobody keeps: so many of them stay."""
        num_unbound = sum(self._num_bound[digest] == 0 for digest in self.objects)
        num_keys = len(self._unkept) - len(self.forgotten) if by_age else 0
        return num_keys + num_unbound - len(self.garbage)

    def _is_garbage(self, digest: str) -> bool:
        return self._num_bound[digest] == 0 and self.objects[digest].age_s >= self._young_s


def _digests(store: ArtifactStore, keys: Collection[str]) -> dict[str, str | None]:
    """What each key file is bound to; ``None`` if it is broken."""
    digests = dict[str, str | None]()
    for name, data in store.shelf.read_many(keys):
        try:
            digests[name] = read_head(data, where=f"{store.location}/{name}").digest
        except KeyFileBroken:
            digests[name] = None
    return digests
