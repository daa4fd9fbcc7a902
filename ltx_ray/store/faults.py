"""Storage faults as sentences. Which errno needs a person and which may pass is decided here and nowhere else."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ltx_ray.errors import StoreError, StoreUnusable
from ltx_ray.spec.names import why_unnameable

_FREE = "free some space, for instance with `ltx-ray gc --delete`, or name another place with --store or --run"
_GRANT = "make it writable for this user or name another place with --store or --run"

#: What the disk itself says, whoever wrote to it; a library may raise other OSErrors for reasons of its own.
DISK_FAULTS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})

#: errno -> (what is wrong, what to do). These stay until somebody does something.
_PERMANENT = {
    errno.ENOSPC: ("no space left on the device", _FREE),
    errno.EDQUOT: ("the disk quota is used up", _FREE),
    errno.EFBIG: ("the file would exceed the size limit", "raise `ulimit -f` or name a file system without the limit"),
    errno.EACCES: ("permission denied", _GRANT),
    errno.EPERM: ("operation not permitted", _GRANT),
    errno.EROFS: ("the file system is read-only", _GRANT),
    errno.ENOENT: (
        "a directory on this path does not exist",
        "was it moved or unmounted? name another with --store or --run",
    ),
    errno.ENOTDIR: ("a part of this path is a file, not a directory", "name another place with --store or --run"),
    errno.EISDIR: ("this is a directory where a file belongs", "move it away"),
    errno.ELOOP: ("links on this path lead round in a circle", "mend them or name another place with --store or --run"),
    errno.ENAMETOOLONG: ("the name is too long", "name a shorter path with --store or --run"),
    errno.EILSEQ: (
        "the file system does not take this name",
        "write another output.path, or name another place with --store or --run",
    ),
    errno.EXDEV: (
        "the file lies on another file system than the store",
        "make it inside the store's scratch directory",
    ),
    errno.ENOLCK: ("the file system has no file locks", "put the run directory on one that has, with --run"),
}


def storage_error(error: OSError, where: str | Path) -> StoreError:
    """The sentence for ``error`` at ``where``; permanent ones are StoreUnusable, the others may be tried again."""
    code = error.errno or _code_of_class(error)
    if code in _PERMANENT:
        what, remedy = _PERMANENT[code]
        return StoreUnusable(f"{where}: {what}; {remedy}")
    reason = os.strerror(code) if code else str(error) or type(error).__name__
    return StoreError(f"{where}: {reason[:1].lower()}{reason[1:]}; try again, and look at the storage if it stays")


def taken_away(path: Path) -> StoreUnusable:
    """What is said when a run loses its directory, or this file in it, while it is being rendered."""
    return StoreUnusable(
        f"{path.parent}: this run directory, or {path.name} in it, was moved, deleted or replaced while it was being "
        "rendered; what the store has is kept: run the same command again, with --run if the directory lies elsewhere"
    )


@contextmanager
def storage_errors(where: str | Path) -> Iterator[None]:
    """Turn every OSError of the block, and a name that the system cannot take, into a StoreError with ``where``."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, where) from error
    except UnicodeEncodeError as error:
        if (why := why_unnameable(str(where))) is None:
            raise
        raise StoreUnusable(f"{where}: the name {why}") from error


def _code_of_class(error: OSError) -> int | None:
    # Object-store clients raise the right class without an errno.
    match error:
        case PermissionError():
            return errno.EACCES
        case FileNotFoundError():
            return errno.ENOENT
        case _:
            return None
