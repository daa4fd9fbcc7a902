"""A shelf in a bucket or any other fsspec file system.

A put is whole by the nature of object stores. Exclusive creation is the store's own where it has one (S3, GCS);
elsewhere fsspec checks and then puts, so of two writers within milliseconds both may believe they won: the later stays.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from ltx_ray.errors import StoreError, StoreUnusable
from ltx_ray.store.faults import storage_errors
from ltx_ray.store.protocol import Listed

#: From here on one listing of all names is cheaper than asking for each.
_MANY = 256

#: What clients of buckets raise besides OSErrors, after they have tried for some seconds: what may pass stands first.
_PASSING = (
    ("botocore.exceptions", "ConnectionError"),
    ("botocore.exceptions", "HTTPClientError"),
    ("google.auth.exceptions", "TransportError"),
    ("aiohttp", "ClientError"),
)
_STAYING = (("botocore.exceptions", "BotoCoreError"), ("google.auth.exceptions", "GoogleAuthError"))


@dataclass(frozen=True, slots=True)
class RemoteShelf:
    """Implements ``protocol.Shelf`` below ``root``, a path of ``file_system`` (fsspec, listings not cached)."""

    uri: str
    root: str
    file_system: Any

    @property
    def location(self) -> str:
        return self.uri

    def read(self, name: str) -> bytes | None:
        with _bucket_errors(self._where(name)):
            try:
                data: bytes = self.file_system.cat_file(self._path(name))
            except FileNotFoundError:
                return None
        return data

    def read_many(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        paths = {self._path(name): name for name in names}
        if not paths:
            return
        with _bucket_errors(self.uri):
            # One call for all: the clients of buckets fetch in parallel.
            answers = self.file_system.cat(list(paths), on_error="return")
            for path, answer in answers.items():
                if isinstance(answer, FileNotFoundError):
                    continue
                if isinstance(answer, Exception):
                    raise answer
                yield paths[path], answer

    def sizes(self, names: Collection[str]) -> dict[str, int]:
        if len(names) > _MANY:
            folders = {name.partition("/")[0] for name in names}
            listed = {name: entry for folder in folders for name, entry in self._list(folder).items()}
            return {name: int(listed[name]["size"]) for name in names if name in listed}
        found = {}
        for name in names:
            with _bucket_errors(self._where(name)):
                try:
                    found[name] = int(self.file_system.info(self._path(name))["size"])
                except FileNotFoundError:
                    continue
        return found

    def names(self, folder: str) -> set[str]:
        return set(self._list(folder))

    def listing(self, folder: str) -> dict[str, Listed]:
        return {
            name: Listed(int(entry["size"]), self._age_s(name, entry)) for name, entry in self._list(folder).items()
        }

    def put(self, name: str, content: bytes | Path) -> None:
        with _bucket_errors(self._where(name)):
            if isinstance(content, bytes):
                self.file_system.pipe_file(self._path(name), content)
            else:
                self.file_system.put_file(str(content), self._path(name))

    def create(self, name: str, data: bytes) -> bool:
        with _bucket_errors(self._where(name)):
            try:
                self.file_system.pipe_file(self._path(name), data, mode="create")
            except FileExistsError:
                return False
        return True

    def remove(self, name: str) -> None:
        with _bucket_errors(self._where(name)):
            try:
                self.file_system.rm_file(self._path(name))
            except FileNotFoundError:
                return

    def remove_if(self, name: str, judge: Callable[[bytes], bool]) -> None:
        data = self.read(name)
        if data is not None and judge(data):
            self.remove(name)

    def age_s(self, name: str) -> float | None:
        with _bucket_errors(self._where(name)):
            try:
                return _seconds_since(self.file_system.modified(self._path(name)))
            except FileNotFoundError:
                return None

    @contextmanager
    def local(self, name: str) -> Iterator[Path | None]:
        with self.scratch() as folder:
            path: Path | None = folder / Path(name).name
            with _bucket_errors(self._where(name)):
                try:
                    self.file_system.get_file(self._path(name), str(path))
                except FileNotFoundError:
                    path = None
            yield path

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="ltx-ray-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)

    def drop_temps(self, older_than_s: float, *, dry_run: bool) -> int:
        """Nothing to drop: a put that was cut off leaves no object."""
        return 0

    def _list(self, folder: str) -> dict[str, dict[str, Any]]:
        with _bucket_errors(self._where(folder)):
            try:
                listed = self.file_system.find(self._path(folder), detail=True)
            except FileNotFoundError:
                return {}
        return {path[len(self.root) + 1 :]: entry for path, entry in listed.items()}

    def _age_s(self, name: str, entry: dict[str, Any]) -> float:
        """Of a listed file; one that is gone by now has none."""
        # S3 says it in the listing; what others call it differs, so they are asked.
        if isinstance(modified := entry.get("LastModified"), datetime):
            return _seconds_since(modified)
        return self.age_s(name) or 0.0

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _where(self, name: str) -> str:
        return f"{self.uri}/{name}"


def _seconds_since(moment: datetime) -> float:
    return (datetime.now(UTC) - (moment if moment.tzinfo else moment.replace(tzinfo=UTC))).total_seconds()


@contextmanager
def _bucket_errors(where: str) -> Iterator[None]:
    """Turn every fault of a bucket or its client inside the block into a StoreError that names ``where``."""
    with storage_errors(where):
        try:
            yield
        except _classes(_PASSING) as error:
            raise StoreError(f"{where}: {error}; try again, and look at the network if it stays") from error
        except _classes(_STAYING) as error:
            raise StoreUnusable(f"{where}: {error}; check address, credentials and configuration") from error


def _classes(names: tuple[tuple[str, str], ...]) -> tuple[type[Exception], ...]:
    """Those of the named classes whose library is installed."""
    found: list[type[Exception]] = []
    for module, name in names:
        with suppress(ImportError):
            found.append(getattr(import_module(module), name))
    return tuple(found)
