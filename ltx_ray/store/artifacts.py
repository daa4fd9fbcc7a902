"""The store: content-addressed objects, and key files that bind keys to them, on any shelf.

Order of writes: object, then key file. A key file therefore never names bytes that were not durable before it; when the
object is gone all the same (``gc`` of a careless hand, a broken disk), the binding counts as absent and is replaced.
An object is written even if one of its name exists, so making an artifact again heals a corrupt one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ltx_ray.errors import ArtifactCorrupt, ArtifactMissing, KeyFileBroken, StoreError
from ltx_ray.store.faults import storage_errors
from ltx_ray.store.key_file import Head, KeyFile, Meta, read_head, read_made_of
from ltx_ray.store.layout import KEYS, key_name, key_of, object_name, token_name
from ltx_ray.store.protocol import Shelf
from ltx_ray.store.verify import Finding

#: From here on one listing of all names is cheaper than asking for each.
_MANY = 1000
_MAX_RACES = 16

_ESTRANGED = "was made of other bytes than one of its inputs has now; `ltx-ray render` makes it again"


@dataclass(frozen=True, slots=True)
class ArtifactStore:
    """Implements ``protocol.Store``."""

    shelf: Shelf

    @property
    def location(self) -> str:
        return self.shelf.location

    @property
    def patience_s(self) -> float:
        """A call may wait so long for a service that may answer later."""
        return self.shelf.patience_s

    def commit(self, key: str, content: bytes | Path, meta: Meta) -> KeyFile:
        if winner := self.lookup(key):
            return winner
        digest, num_bytes = _measure(content)
        self.shelf.put(object_name(digest), content)
        mine = KeyFile(key=key, digest=digest, num_bytes=num_bytes, meta=meta)
        for _ in range(_MAX_RACES):
            if self.shelf.create(key_name(key), mine.to_json()):
                return mine
            if winner := self.lookup(key):
                return winner
            self.shelf.remove_if(key_name(key), lambda data: not self._is_whole(key, data))
        raise StoreError(f"{self._where(key)}: other processes keep replacing this key file; stop them and run again")

    def lookup(self, key: str) -> KeyFile | None:
        bound = self._binding(key)
        return bound if bound and self._has_object(bound.digest, bound.num_bytes) else None

    def known(self, keys: Iterable[str]) -> set[str]:
        wanted = {key_name(key) for key in keys}
        if len(wanted) > _MANY:
            wanted &= self.shelf.names(KEYS)
        heads = self._heads(wanted)
        objects = [object_name(head.digest) for head in heads]
        sizes = self.shelf.sizes(objects)
        return {head.key for head, name in zip(heads, objects, strict=True) if sizes.get(name) == head.num_bytes}

    def estranged(self, keys: Iterable[str]) -> set[str]:
        now: dict[str, str] = {}
        made_of: dict[str, Mapping[str, str]] = {}
        for name, data in self.shelf.read_many({key_name(key) for key in keys}):
            if head := self._head(name, data):
                now[head.key] = head.digest
                with suppress(KeyFileBroken):  # broken behind its head: absent, which whoever reads it finds out
                    made_of[head.key] = read_made_of(data, where=f"{self.location}/{name}")
        parents = {parent for digests in made_of.values() for parent in digests}
        now |= {head.key: head.digest for head in self._heads({key_name(key) for key in parents - now.keys()})}
        return {key for key, digests in made_of.items() if _other_parents(digests, now)}

    def read(self, key: str) -> bytes:
        bound = self._bound(key)
        data = self.shelf.read(object_name(bound.digest))
        if data is None:
            raise ArtifactMissing(key, self.location)
        _check(bound, hashlib.sha256(data).hexdigest())
        return data

    @contextmanager
    def local_path(self, key: str) -> Iterator[Path]:
        bound = self._bound(key)
        with self.shelf.local(object_name(bound.digest)) as path:
            if path is None:
                raise ArtifactMissing(key, self.location)
            _check(bound, _measure(path)[0])
            yield path

    def forget(self, key: str) -> None:
        self.shelf.remove(key_name(key))

    def condemn(self, key: str) -> None:
        self.shelf.remove_if(key_name(key), lambda data: self._finding_in(key, data) is not None)

    def drop(self, keys: Iterable[str]) -> int:
        heads = self._heads({key_name(key) for key in keys})
        bound_ago_s = [self.shelf.age_s(key_name(head.key)) for head in heads]
        for head in heads:
            self.shelf.remove(key_name(head.key))
        shared = {head.digest for head in self._heads(self.shelf.names(KEYS))}
        doomed = {
            head.digest: head.num_bytes
            for head, ago_s in zip(heads, bound_ago_s, strict=True)
            if head.digest not in shared and not self._is_younger(object_name(head.digest), ago_s)
        }
        for digest in doomed:
            self.shelf.remove(object_name(digest))
        return sum(doomed.values())

    def keys(self) -> set[str]:
        return {key for name in self.shelf.names(KEYS) if (key := key_of(name))}

    def verify(self, keys: Iterable[str] | None = None) -> list[Finding]:
        asked = sorted(self.keys() if keys is None else keys)
        found = {finding.key: finding for key in asked if (finding := self._finding(key))}
        for key in self.estranged(asked) - found.keys():
            found[key] = Finding("estranged", key, _ESTRANGED)
        return [found[key] for key in sorted(found)]

    def scratch(self) -> AbstractContextManager[Path]:
        return self.shelf.scratch()

    def put_token(self, name: str, data: bytes) -> None:
        self.shelf.put(token_name(name), data)

    def get_token(self, name: str) -> bytes | None:
        return self.shelf.read(token_name(name))

    def drop_token(self, name: str) -> None:
        self.shelf.remove(token_name(name))

    def _where(self, key: str) -> str:
        return f"{self.location}/{key_name(key)}"

    def _parse(self, key: str, data: bytes) -> KeyFile:
        bound = KeyFile.from_json(data, where=self._where(key))
        if bound.key != key:
            raise KeyFileBroken(
                f"{self._where(key)}: the key file speaks of {bound.key[:12]}; rendering makes it again"
            )
        return bound

    def _binding(self, key: str) -> KeyFile | None:
        """The key file alone, whether or not its object is there; ``None`` if absent or broken."""
        data = self.shelf.read(key_name(key))
        try:
            return None if data is None else self._parse(key, data)
        except KeyFileBroken:
            return None

    def _bound(self, key: str) -> KeyFile:
        if bound := self._binding(key):
            return bound
        raise ArtifactMissing(key, self.location)

    def _head(self, name: str, data: bytes) -> Head | None:
        try:
            head = read_head(data, where=f"{self.location}/{name}")
        except KeyFileBroken:
            return None
        return head if name == key_name(head.key) else None

    def _heads(self, names: Collection[str]) -> list[Head]:
        """Of the key files with these names, those that are there and whole."""
        return [head for name, data in self.shelf.read_many(names) if (head := self._head(name, data))]

    def _is_younger(self, name: str, than_s: float | None) -> bool:
        """Whether a file was written again after the moment ``than_s`` seconds ago."""
        age = self.shelf.age_s(name)
        return age is not None and than_s is not None and age < than_s

    def _has_object(self, digest: str, num_bytes: int) -> bool:
        name = object_name(digest)
        return self.shelf.sizes((name,)).get(name) == num_bytes

    def _is_whole(self, key: str, data: bytes) -> bool:
        head = self._head(key_name(key), data)
        return head is not None and self._has_object(head.digest, head.num_bytes)

    def _finding(self, key: str) -> Finding | None:
        data = self.shelf.read(key_name(key))
        if data is None:
            return Finding("unbound", key, f"nothing is bound to it in {self.location}")
        return self._finding_in(key, data)

    def _finding_in(self, key: str, data: bytes) -> Finding | None:
        """What is wrong with the artifact whose key file holds ``data``."""
        try:
            bound = self._parse(key, data)
        except KeyFileBroken as error:
            return Finding("broken", key, str(error))
        name = object_name(bound.digest)
        size = self.shelf.sizes((name,)).get(name)
        if size is None:
            return Finding("missing", key, f"{self.location}/{name} is missing")
        if size != bound.num_bytes:
            return Finding("size", key, f"{self.location}/{name} has {size} bytes, its key file says {bound.num_bytes}")
        with self.shelf.local(name) as path:
            digest = _measure(path)[0] if path else None
        if digest != bound.digest:
            return Finding("corrupt", key, str(ArtifactCorrupt(key, bound.digest, digest or "none")))
        return None


def _other_parents(made_of: Mapping[str, str], now: Mapping[str, str]) -> bool:
    return any(now.get(parent, digest) != digest for parent, digest in made_of.items())


def _check(bound: KeyFile, digest: str) -> None:
    if digest != bound.digest:
        raise ArtifactCorrupt(bound.key, bound.digest, digest)


def _measure(content: bytes | Path) -> tuple[str, int]:
    """Digest and size in bytes; a file is read piece by piece."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest(), len(content)
    with storage_errors(content), content.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest, file.tell()
