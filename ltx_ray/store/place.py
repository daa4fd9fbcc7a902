r"""Places as people write them: a directory of this machine, or the URI of a bucket.

A slip of the keyboard must not become a directory of that name (``s3:/farm``, ``C:\farm``), nor an empty variable of a
shell the default.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from ltx_ray.errors import PlanError, StoreUnusable

#: A scheme with a part of its "://" missing. Of a word and a colon alone only kinds of storage are meant.
_ALMOST_URI = re.compile(
    r"([a-z][a-z0-9+.-]+):/|(s3a?|gcs|gs|az|abfss?|https?|hdfs|memory|file)(?::|//)", re.IGNORECASE
)
_NO_BUCKET = re.compile(r"(s3a?|gcs|gs|az|abfss?)://(/|$)", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:")


def is_uri(text: str) -> bool:
    """Whether ``text`` names a place that is not a directory of this machine."""
    return "://" in text and not text.startswith("file://")


def check_store(text: str) -> None:
    """Raise PlanError unless ``text`` can be the place of a store."""
    _check_text("--store", text, "a directory or a URI such as s3://bucket/store")
    try:
        os.fsencode(text).decode("utf-8")
    except UnicodeError as error:  # what reads tensors opens no other names
        raise PlanError(f"--store {text!a}: is not UTF-8; name a directory that is") from error
    if text.startswith("file://") and not text.startswith("file:///"):
        raise PlanError(f"--store {text}: names another machine; write file:///PATH, or the path alone")
    if found := _NO_BUCKET.match(text):
        raise PlanError(f"--store {text}: names no bucket; write {found[1]}://BUCKET/PATH")


def run_path(text: str | Path, *, where: str = "--run") -> Path:
    """The run directory that ``text`` names.

    Raises:
        PlanError: it names none of this machine.
    """
    _check_text(where, str(text), "a directory")
    if is_uri(str(text)):
        raise PlanError(f"{where} {text}: a run is a directory of this machine; only --store may be a URI")
    return _expanded(where, Path(text))


def store_path(text: str) -> Path:
    """The directory that the place of a store names, absolute, with its links as they are.

    Raises:
        PlanError: it begins with a home directory that is not known.
    """
    return _expanded("--store", Path(text.removeprefix("file://"))).absolute()


def check_links(path: Path) -> None:
    """Raise StoreUnusable if the way to ``path`` leads over a link to nowhere: no directory can be created there."""
    for part in (path, *path.parents):
        if part.is_symlink() and not part.exists():
            raise StoreUnusable(f"{path}: {part} is a link to {part.readlink()}, which does not exist; mend the link")


def _check_text(option: str, text: str, wanted: str) -> None:
    if not text.strip():
        rest = ", or leave it out" if option.startswith("--") else ""
        raise PlanError(f"{option}: is empty, perhaps by a variable that is not set; name {wanted}{rest}")
    if "\0" in text:
        raise PlanError(f"{option} {text!r}: holds a zero byte; name {wanted}")
    if "\\" in text or _DRIVE.match(text):
        raise PlanError(f"{option} {text}: is a path of Windows; name {wanted} as this machine sees it")
    if "://" not in text and (almost := _ALMOST_URI.match(text)):
        scheme, rest = almost[1] or almost[2], text[almost.end() :].lstrip("/")
        meant = f"{scheme.lower()}://{'/' if scheme.lower() == 'file' else ''}{rest}"
        raise PlanError(f"{option} {text}: is almost a URI; write {meant}, or ./{text} for a directory of this name")


def _expanded(option: str, path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise PlanError(f"{option} {path}: this home directory is not known; write the whole path") from error
