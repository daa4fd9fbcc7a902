"""Only regular files are read: a pipe would be waited for, and a device may never end."""

from __future__ import annotations

import stat
from pathlib import Path

_KINDS = {
    stat.S_IFDIR: "is a folder, not a file",
    stat.S_IFIFO: "is a pipe, not a file",
    stat.S_IFSOCK: "is a socket, not a file",
    stat.S_IFCHR: "is a device, not a file",
    stat.S_IFBLK: "is a device, not a file",
}


def irregular(path: Path) -> str | None:
    """What stands at ``path`` that is no regular file, links followed; None = a regular file, or nothing to be seen."""
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except (OSError, ValueError):
        return None
    return None if kind == stat.S_IFREG else _KINDS.get(kind, "is not a regular file")
