"""What a run directory holds beside its journal: the resolved manifest, the plan, and the finished files.

Finished files are links to the store's objects where both lie on one file system, copies otherwise. Which bytes a file
has is said by the journal, so that a file which is there in the right size is not copied again.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ltx_ray.store import durable
from ltx_ray.store.faults import storage_errors
from ltx_ray.store.journal import History
from ltx_ray.store.layout import RunLayout

#: Journal event of a file put into ``videos/``.
PUBLISHED = "published"


def prepare(layout: RunLayout) -> None:
    """Make the directory and prove that it can be written. Raises StoreUnusable."""
    with storage_errors(layout.path):
        layout.videos.mkdir(parents=True, exist_ok=True)
        probe = layout.path / f".probe-{secrets.token_hex(8)}"
        durable.write_new(probe, b"")
        probe.unlink()


def write_lines(path: Path, records: Iterable[str]) -> None:
    """Replace ``path`` by one line a record, whole and durable."""
    temp = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with storage_errors(path):
        try:
            with temp.open("w", encoding="ascii") as file:
                file.writelines(f"{record}\n" for record in records)
                file.flush()
                os.fsync(file.fileno())
            durable.replace_whole(temp, path)
        finally:
            with suppress(FileNotFoundError):
                temp.unlink()


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The records of ``write_lines``; an absent file has none, and one that cannot be read counts as absent.

    The files read here explain; none of them decides what is made.
    """
    try:
        return [json.loads(line) for line in path.read_text("ascii").splitlines()]
    except (FileNotFoundError, ValueError):
        return []


def published(history: History) -> dict[str, tuple[str, int]]:
    """Digest and size in bytes of the file last put at each path below ``videos/``."""
    return {
        record["path"]: (record["digest"], record["num_bytes"])
        for record in history.records
        if record.get("event") == PUBLISHED
    }


def is_in_place(layout: RunLayout, path: str, digest: str, before: Mapping[str, tuple[str, int]]) -> bool:
    """Whether ``videos/<path>`` is there with the size it was published with, and has this digest."""
    if path not in before or before[path][0] != digest:
        return False
    try:
        return (layout.videos / path).stat().st_size == before[path][1]
    except OSError:
        return False


def publish(layout: RunLayout, path: str, artifact: Path) -> None:
    """Put the artifact at ``videos/<path>``, whole and durable, replacing what was there."""
    target = layout.videos / path
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temp = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
        try:
            try:
                temp.hardlink_to(artifact)
            except OSError:  # another file system, or one without links
                shutil.copyfile(artifact, temp)
                with temp.open("rb") as file:
                    os.fsync(file.fileno())
            durable.replace_whole(temp, target)
        finally:
            with suppress(FileNotFoundError):
                temp.unlink()
