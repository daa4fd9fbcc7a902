"""Where things go that can be made again: below $XDG_CACHE_HOME, or ~/.cache, or a folder of this user among the
temporary files where there is no home that can be written.
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from ltx_ray.errors import ModelError


def cache_folder() -> Path:
    """The user's cache folder of this package; it may not exist yet.

    Raises:
        ModelError: the folder among the temporary files is somebody else's, who could put weights there.
    """
    if told := os.environ.get("XDG_CACHE_HOME"):
        return Path(told) / "ltx_ray"
    try:
        home = Path.home()
    except RuntimeError:  # no HOME, and a user that the system does not know
        return _own_folder(Path(tempfile.gettempdir()))
    cache = home / ".cache" / "ltx_ray"
    nearest = next((place for place in (cache, cache.parent) if os.access(place, os.F_OK)), home)
    return cache if os.access(nearest, os.W_OK | os.X_OK) else _own_folder(Path(tempfile.gettempdir()))


def _own_folder(among: Path) -> Path:
    folder = among / f"ltx_ray-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
    if not is_ours:
        raise ModelError(f"{folder}: is not a folder of this user alone; set XDG_CACHE_HOME to one")
    return folder
