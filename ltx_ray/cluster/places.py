"""Where a Ray that is started here may put its files: a directory for sockets and logs, and one for shared memory.

Ray itself finds out what is wrong with a place after half a minute, or with a traceback; here it is tried before.
Imports no Ray.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ltx_ray.errors import DoesNotFit

#: The path of a Unix socket has room for so many bytes.
MAX_SOCKET_BYTES = 103 if sys.platform == "darwin" else 107
#: The longest name that Ray gives a socket of this process.
SOCKET = f"/ray/session_2026-01-01_00-00-00_000000_{os.getpid()}/sockets/plasma_store"
#: Written and removed again to see that there is room: logs, ports and sockets need some.
TRIED_BYTES = 2**16

TMP, SHARED_MEMORY = Path("/tmp"), Path("/dev/shm")

_log = logging.getLogger(__name__)


class Places(NamedTuple):
    temp: Path  #: Ray's directory
    is_asked_of_ray: bool  #: it is not what Ray itself would choose
    objects: Path | None  #: where Ray's objects lie; None = in shared memory, or where Ray finds room


def choose_places(environ: Mapping[str, str], *, tmp: Path = TMP, shared_memory: Path = SHARED_MEMORY) -> Places:
    """Places that were tried. A TMPDIR that does not do is passed over, RAY_TMPDIR is the user's word.

    Raises:
        DoesNotFit: nothing can be written where Ray would have to.
    """
    is_asked = False
    if "RAY_TMPDIR" in environ:
        base = environ["RAY_TMPDIR"]
        if why := _why_not(base):
            raise DoesNotFit(f"RAY_TMPDIR={base}: {why}; set it to a short directory that can be written, or unset it")
    else:
        base = environ.get("TMPDIR", str(tmp))
        if base != str(tmp) and (why := _why_not(base)):
            _log.warning("TMPDIR=%s: %s; Ray uses %s", base, why, tmp)
            base, is_asked = str(tmp), True
        if base == str(tmp) and (why := _why_not(base)):
            raise DoesNotFit(f"{base}: {why}; set RAY_TMPDIR to a short directory that can be written")
    if sys.platform != "linux" or (why := _why_no_files(shared_memory)) is None:
        return Places(Path(base, "ray"), is_asked, None)
    _log.warning("%s: %s; Ray's objects lie in %s", shared_memory, why, base)
    return Places(Path(base, "ray"), is_asked, Path(base))


def _why_not(base: str) -> str | None:
    """Why Ray cannot have its directory ``ray`` below ``base``; None = it can."""
    if not base:
        return "is empty"
    if len(os.fsencode(f"{base}{SOCKET}")) > MAX_SOCKET_BYTES:
        return f"is longer than {MAX_SOCKET_BYTES - len(SOCKET)} bytes, which is the room that Ray's sockets leave"
    below = Path(base, "ray")
    return _why_no_files(below if os.path.lexists(below) else Path(base))


def _why_no_files(folder: Path) -> str | None:
    """Why no file can be written in ``folder``; None = one was."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(TRIED_BYTES))
            file.flush()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        return f"cannot be written ({reason[:1].lower()}{reason[1:]})"
    return None
