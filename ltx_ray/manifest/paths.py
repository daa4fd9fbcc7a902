"""Names of output files: the template, and the rule that keeps them below the output root on every system."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

from ltx_ray.manifest.fields import Wrong
from ltx_ray.manifest.problems import nearest, shown
from ltx_ray.spec.codecs import CONTAINERS
from ltx_ray.spec.names import why_unnameable

FIELDS = ("id", "index", "seed", "preset", "width", "height")
#: A file system takes 255 bytes a name; the rest is for names of files being written.
MAX_NAME_BYTES = 200
MAX_PATH_BYTES = 1000

_DRIVE = re.compile(r"[a-z]:(?! )|[a-z0-9+.-]+://", re.IGNORECASE)
#: What Windows, exFAT and SMB refuse in a name, or take for a device.
_NOT_ON_WINDOWS = re.compile(
    r'[<>:"|?*]|[. ](?:/|$)|(?:^|/)(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|/|$)', re.IGNORECASE
)
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_. -]{0,150}(/[A-Za-z0-9_-][A-Za-z0-9_. -]{0,150}){0,3}")


def filled(template: str, fields: Mapping[str, object]) -> str:
    """The path a template means for one video; raises Wrong unless it stays below its root."""
    path = "".join(literal + (str(fields[name]) if name else "") for literal, name in _parts(template))
    if _PLAIN.fullmatch(path) is None:
        _check(path)
    if container_of(path) not in CONTAINERS:
        raise Wrong(f"{shown(path)} is not a kind of file that is written; end it in .{', .'.join(CONTAINERS)}")
    return path


def is_odd_elsewhere(path: str) -> bool:
    """Whether Windows or a disk in exFAT could not hold this file under its name."""
    return _NOT_ON_WINDOWS.search(path) is not None


def container_of(path: str) -> str:
    """``mp4`` of ``a/b.MP4``."""
    stem, _, suffix = path.rpartition(".")
    return suffix.lower() if stem and not stem.endswith("/") else ""


def folded(path: str) -> str:
    """Equal for paths that name one file where case or composed letters do not count."""
    return unicodedata.normalize("NFC", path.casefold())


@lru_cache(maxsize=64)
def _parts(template: str) -> tuple[tuple[str, str], ...]:
    """Literal text and the field after it ("" = none), in order."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise Wrong(f"{shown(template)} is not a path: {error}; write braces as {{{{ and }}}}") from None
    for _, name, form, conversion in parts:
        if name is not None and name not in FIELDS:
            raise Wrong(f"{shown('{' + name + '}')} is not a field of a path; {nearest(name, FIELDS)}")
        if form or conversion:
            raise Wrong(f"{shown(template)} formats {{{name}}}; write {{{name}}} alone")
    return tuple((literal, name or "") for literal, name, _, _ in parts)


def _check(path: str) -> None:
    parts = path.split("/")
    if path.startswith(("/", "~")) or "\\" in path or _DRIVE.match(path):
        raise Wrong(f"{shown(path)} is not below the output folder; write a relative path with /")
    if ".." in parts:
        raise Wrong(f"{shown(path)} leaves the output folder; take .. out")
    if not all(part.strip(". ") for part in parts):
        raise Wrong(f"{shown(path)} has an empty name in it; write names between slashes")
    if not path.isprintable():
        raise Wrong(f"{shown(path)} has a character that cannot be printed; use letters, digits, - and _")
    if (why := why_unnameable(path)) is not None:
        raise Wrong(f"{shown(path)} {why}")
    longest = max(len(part.encode(errors="replace")) for part in parts)
    if longest > MAX_NAME_BYTES or len(path.encode(errors="replace")) > MAX_PATH_BYTES:
        raise Wrong(
            f"{shown(path)} has a name of {longest} bytes; at most {MAX_NAME_BYTES} fit, {MAX_PATH_BYTES} in all"
        )
