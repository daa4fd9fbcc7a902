"""Where runs and stores are, from what people write: a place by ``spec.places``, never an empty variable of a shell."""

from __future__ import annotations

import os
from pathlib import Path

from ltx_ray.errors import PlanError, StoreUnusable
from ltx_ray.spec.places import is_uri, why_no_place


def check_store(text: str) -> None:
    """Raise PlanError unless ``text`` can be the place of a store."""
    _check_text("--store", text, "a directory or a URI such as s3://bucket/store")
    try:
        os.fsencode(text).decode("utf-8")
    except UnicodeError as error:  # what reads tensors opens no other names
        raise PlanError(f"--store {text!a}: is not UTF-8; name a directory that is") from error


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
    if (why := why_no_place(text, wanted)) is not None:
        raise PlanError(f"{option} {text if text.isprintable() else repr(text)}: {why}")


def _expanded(option: str, path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise PlanError(f"{option} {path}: this home directory is not known; write the whole path") from error
