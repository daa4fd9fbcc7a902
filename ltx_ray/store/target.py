"""A place elsewhere that finished files are sent to: a directory of this machine, or a bucket.

A file is there whole or not at all: in a directory it gets its name when it is on disk, a put into a bucket is whole by
itself. It counts as sent once the place has said that it holds as many bytes.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ltx_ray.errors import StoreError, StoreUnusable
from ltx_ray.spec.places import is_uri
from ltx_ray.store import durable
from ltx_ray.store.faults import storage_errors
from ltx_ray.store.open import open_shelf
from ltx_ray.store.owner import is_abandoned, temp_prefix
from ltx_ray.store.place import check_links

#: What is written and removed to prove that the place can be written; it stays where nothing may be removed.
PROBE = ".ltx-ray-probe"
#: How the name of a file begins that is on its way; the rest says whose it is.
_TEMP = ".ltx-ray."


class _Place(Protocol):
    """As of ``protocol.Shelf``."""

    def sizes(self, names: Collection[str]) -> dict[str, int]: ...
    def put(self, name: str, content: bytes | Path) -> None: ...
    def remove(self, name: str) -> None: ...


class Target:
    """The place ``to`` of a manifest. Every method raises StoreErrors that name the file there and what to do."""

    def __init__(self, to: str) -> None:
        """Raises StoreError: there is no client for this kind of place."""
        self.to = to
        with _of_target():
            self._place: _Place = open_shelf(to, "output.to") if is_uri(to) else _Folder(Path(to))

    def sizes(self, paths: Collection[str]) -> dict[str, int]:
        """Sizes in bytes of those of the files that are there."""
        with _of_target():
            return self._place.sizes(paths)

    def prove(self) -> None:
        """Raise unless a file can be written here, and asked for."""
        proof = secrets.token_bytes(16)
        with _of_target():
            try:
                self._place.put(PROBE, proof)
            except NotImplementedError as error:
                scheme = self.to.partition("://")[0]
                raise StoreUnusable(f"output.to {self.to}: {scheme}:// cannot be written; name a bucket") from error
            self._confirm(PROBE, len(proof))
            with suppress(StoreError):  # to send files no right to remove any is needed
                self._place.remove(PROBE)

    def send(self, path: str, file: Path) -> int:
        """Put a copy of ``file`` at ``path``, replacing what was there; its size in bytes."""
        with storage_errors(file):
            num_bytes = file.stat().st_size
        with _of_target():
            self._place.put(path, file)
            self._confirm(path, num_bytes)
        return num_bytes

    def _confirm(self, path: str, num_bytes: int) -> None:
        found = self._place.sizes([path]).get(path)
        if found != num_bytes:
            there = "is not there" if found is None else f"has {found} bytes there"
            raise StoreError(f"{self.to}/{path}: {there} after {num_bytes} were sent; run the same command again")


@dataclass(frozen=True, slots=True)
class _Folder:
    root: Path
    _seen: set[Path] = field(default_factory=set)  #: folders in which nothing of a killed render is left

    def sizes(self, names: Collection[str]) -> dict[str, int]:
        found = {}
        for name in names:
            with storage_errors(self.root / name), suppress(FileNotFoundError, NotADirectoryError):
                found[name] = (self.root / name).stat().st_size
        return found

    def put(self, name: str, content: bytes | Path) -> None:
        path = self.root / name
        check_links(path.parent)
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._drop_abandoned(path.parent)
            temp = path.with_name(f"{_TEMP}{temp_prefix()}{secrets.token_hex(8)}")
            try:
                if isinstance(content, bytes):
                    temp.write_bytes(content)
                else:
                    shutil.copyfile(content, temp)
                with temp.open("rb") as file:
                    os.fsync(file.fileno())
                durable.replace_whole(temp, path)
            finally:
                with suppress(OSError):
                    temp.unlink()

    def remove(self, name: str) -> None:
        with storage_errors(self.root / name):
            (self.root / name).unlink(missing_ok=True)

    def _drop_abandoned(self, folder: Path) -> None:
        """Remove what killed renders left on its way into ``folder``."""
        if folder in self._seen:
            return
        self._seen.add(folder)
        for temp in folder.glob(f"{_TEMP}*"):
            if is_abandoned(temp.name.removeprefix(_TEMP)):
                temp.unlink(missing_ok=True)


@contextmanager
def _of_target() -> Iterator[None]:
    """Let remedies name the key of the manifest where those of ``faults`` name the options of a store."""
    try:
        yield
    except StoreError as error:
        error.text = error.text.replace("--store or --run", "output.to").replace("--store", "output.to")
        error.args = (error.text,)
        raise
