"""A shelf in a directory, shared by every process and machine that mounts it.

Objects are read-only files. Every temporary file lives in ``tmp/`` under the name of its owner, so leftovers of a
killed process are told from files that somebody is writing.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ltx_ray.errors import StoreUnusable
from ltx_ray.store import durable
from ltx_ray.store.faults import storage_errors
from ltx_ray.store.layout import KEYS, OBJECTS, PREFIXES, TMP, TOKENS, USERS
from ltx_ray.store.owner import is_abandoned, temp_prefix
from ltx_ray.store.protocol import Listed

#: Left by a process of another machine, which cannot be asked: after this long nobody still writes it.
_FOREIGN_TEMP_S = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class LocalShelf:
    """Implements ``protocol.Shelf`` below ``root``, an absolute path."""

    root: Path

    @property
    def location(self) -> str:
        return str(self.root)

    @property
    def patience_s(self) -> float:
        return 0.0

    def prepare(self) -> None:
        """Make every directory at once, so that no commit has to make (and sync) one, and prove it writable."""
        with storage_errors(self.root):
            if self.root.exists() and not self.root.is_dir():
                raise StoreUnusable(f"{self.root}: this is a file, not a directory; name another --store")
            for folder in (OBJECTS, KEYS):
                (self.root / folder).mkdir(parents=True, exist_ok=True)
                missing = set(PREFIXES).difference(entry.name for entry in (self.root / folder).iterdir())
                for prefix in missing:
                    (self.root / folder / prefix).mkdir(exist_ok=True)
                durable.sync_folder(self.root / folder)
            for folder in (USERS, TOKENS, TMP):
                (self.root / folder).mkdir(exist_ok=True)
            durable.sync_folder(self.root)
            durable.sync_folder(self.root.parent)
            probe = self._temp()
            durable.write_new(probe, b"writable")
            probe.unlink()

    def read(self, name: str) -> bytes | None:
        path = f"{self.root}/{name}"
        with storage_errors(path):
            return _read(path)

    def read_many(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        root = str(self.root)
        with storage_errors(root):
            for name in names:
                if (data := _read(f"{root}/{name}")) is not None:
                    yield name, data

    def sizes(self, names: Collection[str]) -> dict[str, int]:
        root, found = str(self.root), {}
        with storage_errors(root):
            for name in names:
                with suppress(FileNotFoundError, NotADirectoryError):
                    found[name] = os.stat(f"{root}/{name}").st_size  # noqa: PTH116 - a Path costs more than the call
        return found

    def names(self, folder: str) -> set[str]:
        root, found, folders = str(self.root), set[str](), [folder]
        with storage_errors(self.root / folder):
            while folders:
                here = folders.pop()
                with suppress(FileNotFoundError), os.scandir(f"{root}/{here}") as entries:
                    for entry in entries:
                        name = f"{here}/{entry.name}"
                        folders.append(name) if entry.is_dir(follow_symlinks=False) else found.add(name)
        return found

    def listing(self, folder: str) -> dict[str, Listed]:
        found, now = {}, time.time()
        for name in self.names(folder):
            with storage_errors(self.root / name), suppress(FileNotFoundError):
                status = os.stat(f"{self.root}/{name}")  # noqa: PTH116 - a Path costs more than the call
                found[name] = Listed(status.st_size, now - status.st_mtime)
        return found

    def put(self, name: str, content: bytes | Path) -> None:
        path = self.root / name
        with self._writing(path):
            if isinstance(content, Path):
                _sync_file(content)
                os.utime(content)  # `gc` goes by age, and the file may have been written long ago
                _place(content, path)
                return
            temp = self._temp()
            durable.write_new(temp, content)
            try:
                _place(temp, path)
            except OSError:
                with suppress(OSError):
                    temp.unlink()
                raise

    def create(self, name: str, data: bytes) -> bool:
        path = self.root / name
        with self._writing(path):
            return durable.create_exclusive(path, data, temp=self._temp())

    def remove(self, name: str) -> None:
        path = self.root / name
        with storage_errors(path):
            path.unlink(missing_ok=True)

    def remove_if(self, name: str, judge: Callable[[bytes], bool]) -> None:
        path = self.root / name
        with storage_errors(path):
            durable.remove_if(path, judge)

    def age_s(self, name: str) -> float | None:
        path = self.root / name
        with storage_errors(path):
            try:
                return time.time() - path.stat().st_mtime
            except FileNotFoundError:
                return None

    @contextmanager
    def local(self, name: str) -> Iterator[Path | None]:
        path = self.root / name
        with storage_errors(path):
            found = path.is_file()
        yield path if found else None

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        folder = self._temp()
        with self._writing(folder):
            folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def drop_temps(self, older_than_s: float, *, dry_run: bool) -> int:
        freed = 0
        with storage_errors(self.root / TMP):
            for temp in (self.root / TMP).iterdir():
                gone = is_abandoned(temp.name)
                if gone is not False:
                    least_s = max(older_than_s, _FOREIGN_TEMP_S) if gone is None else older_than_s
                    freed += _remove_if_old(temp, least_s, dry_run=dry_run)
        return freed

    @contextmanager
    def _writing(self, path: Path) -> Iterator[None]:
        """Faults as StoreErrors of ``path``, or of the store as a whole if it is no longer there."""
        try:
            with storage_errors(path):
                yield
        except StoreUnusable as error:
            if self.root.is_dir():
                raise
            raise StoreUnusable(
                f"{self.root}: the store was moved, deleted or unmounted while it was in use; put it back, "
                "or name another with --store, and run the same command again"
            ) from error

    def _temp(self) -> Path:
        return self.root / TMP / f"{temp_prefix()}{secrets.token_hex(8)}"


def _read(path: str) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return durable.read_all(fd)
    finally:
        os.close(fd)


def _place(temp: Path, path: Path) -> None:
    temp.chmod(0o444)
    durable.replace_whole(temp, path)


def _sync_file(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _remove_if_old(temp: Path, older_than_s: float, *, dry_run: bool) -> int:
    """Bytes freed; a file or directory that its owner removes meanwhile is fine."""
    try:
        if time.time() - temp.lstat().st_mtime < older_than_s:
            return 0
        files = [path for path in temp.rglob("*") if path.is_file()] if temp.is_dir() else [temp]
        num_bytes = sum(path.stat().st_size for path in files)
        if not dry_run and not temp.is_dir():
            temp.unlink()
    except FileNotFoundError:
        return 0
    if not dry_run:
        shutil.rmtree(temp, ignore_errors=True)
    return num_bytes
