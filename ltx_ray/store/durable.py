"""Files that are whole or absent, also after power loss, on a POSIX file system.

The order is the promise: the content is fsynced before it gets its name, the name (its directory) before the function
returns. OSErrors pass through; callers know which path a person should hear of.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

#: What file systems without hard links answer (FUSE mounts of buckets, exFAT, SMB).
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def write_new(path: Path, data: bytes) -> None:
    """Create ``path`` with ``data`` on disk; raise FileExistsError if it exists. No file remains after an error."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        write_all(fd, data)
        os.fsync(fd)
    except OSError:
        with suppress(OSError):
            path.unlink()
        raise
    finally:
        os.close(fd)


def replace_whole(temp: Path, path: Path) -> None:
    """Give the durable file ``temp`` the name ``path``, replacing what was there."""
    temp.replace(path)
    sync_folder(path.parent)


def create_exclusive(path: Path, data: bytes, *, temp: Path) -> bool:
    """Create ``path`` with ``data``, whole or not at all; ``False`` if it exists. ``temp`` is on the same device."""
    write_new(temp, data)
    try:
        created = _name_once(temp, path, data)
        # Also for the loser: it is about to rely on a name that the winner may not have made durable yet.
        sync_folder(path.parent)
        return created
    finally:
        with suppress(OSError):
            temp.unlink()


def remove_if(path: Path, judge: Callable[[bytes], bool]) -> bool:
    """Unlink ``path`` if ``judge`` condemns its content; of several processes at once only one removes it.

    A file that appears under this name meanwhile is never removed: the lock is held on the very file that was judged.
    """
    try:
        folder = open_folder(path.parent)
    except FileNotFoundError:
        return False
    try:
        return remove_in(folder, path.name, judge)
    finally:
        os.close(folder)


def remove_in(folder: int, name: str, judge: Callable[[bytes], bool]) -> bool:
    """``remove_if`` in an open directory, wherever that lies by now."""
    try:
        fd = os.open(name, os.O_RDWR, dir_fd=folder)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        if not is_named(fd, name, folder=folder) or not judge(read_all(fd)):
            return False
        os.unlink(name, dir_fd=folder)
        _sync(folder)
        return True
    finally:
        os.close(fd)


def open_folder(folder: Path) -> int:
    """A descriptor of a directory."""
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)


def sync_folder(folder: Path) -> None:
    fd = open_folder(folder)
    try:
        _sync(fd)
    finally:
        os.close(fd)


def is_named(fd: int, path: Path | str, *, folder: int | None = None) -> bool:
    """Whether ``path`` is still the name of the open file; relative ones count from ``folder``."""
    try:
        named = os.stat(path, dir_fd=folder)
    except (FileNotFoundError, NotADirectoryError):
        return False
    opened = os.fstat(fd)
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)


def write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def read_all(fd: int) -> bytes:
    parts = []
    while part := os.read(fd, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def _name_once(temp: Path, path: Path, data: bytes) -> bool:
    try:
        os.link(temp, path)
    except FileExistsError:
        # NFS may lose the answer of a link that happened and report the second try; then our file has two names.
        return temp.stat().st_nlink == 2
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # Still exclusive, but a power cut here leaves a broken file; readers treat that as absent.
        try:
            write_new(path, data)
        except FileExistsError:
            return False
    return True


def _sync(folder: int) -> None:
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno != errno.EINVAL:  # file systems that cannot sync a directory say so with EINVAL
            raise
