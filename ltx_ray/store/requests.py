"""What people ask of a live render: one small file a request, which the render removes when it has read it.

Whole or absent, but not durable: a request that a power cut takes away is asked again.
"""

from __future__ import annotations

import json
import secrets
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ltx_ray.store.faults import storage_errors
from ltx_ray.store.layout import RunLayout


class Request(NamedTuple):
    """To stop a video; ``video`` None = the whole run."""

    path: Path
    video: str | None


def ask(layout: RunLayout, video: str | None) -> Request:
    """Leave a request for whoever renders this run."""
    name = secrets.token_hex(8)
    temp, path = layout.requests / f".{name}", layout.requests / name
    with storage_errors(path):
        layout.requests.mkdir(exist_ok=True)
        try:
            temp.write_text(json.dumps({"video": video}), "ascii")
            temp.replace(path)
        finally:
            temp.unlink(missing_ok=True)
    return Request(path, video)


def take(layout: RunLayout) -> list[Request]:
    """Every request there is, which is none from now on; one that says nothing usable is removed unheard."""
    found = []
    with storage_errors(layout.requests):
        for path in _files(layout):
            try:
                asked = json.loads(path.read_text("ascii"))["video"]
            except (ValueError, KeyError, TypeError, RecursionError):
                asked = 0
            path.unlink(missing_ok=True)
            if asked is None or isinstance(asked, str):
                found.append(Request(path, asked))
    return found


def drop(layout: RunLayout) -> None:
    """Forget what was asked of an earlier render."""
    with storage_errors(layout.requests), suppress(FileNotFoundError, NotADirectoryError):
        for path in layout.requests.iterdir():
            if path.is_file():
                path.unlink(missing_ok=True)


def _files(layout: RunLayout) -> list[Path]:
    """Nobody asks by a directory or a pipe; they lie there for reasons of their own."""
    try:
        return sorted(path for path in layout.requests.iterdir() if not path.name.startswith(".") and path.is_file())
    except (FileNotFoundError, NotADirectoryError):
        return []
