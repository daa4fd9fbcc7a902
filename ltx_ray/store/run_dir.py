"""What a run directory holds beside its journal: the resolved manifest, the plan, and the finished files.

Finished files are links to the store's objects where both lie on one file system, copies otherwise. Which bytes a file
has is said by the journal, so that a file which is there in the right size is not copied again.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ltx_ray.errors import PlanError, StoreUnusable
from ltx_ray.spec.names import why_unnameable
from ltx_ray.spec.records import Published, is_file_below
from ltx_ray.store import durable
from ltx_ray.store.faults import storage_errors
from ltx_ray.store.journal import History
from ltx_ray.store.layout import RunLayout, is_hash
from ltx_ray.store.place import check_links

_TEMP = re.compile(r"\..+\.[0-9a-f]{16}", re.DOTALL)


def prepare(layout: RunLayout) -> None:
    """Make the directory and prove that it can be written. Raises StoreUnusable."""
    check_links(layout.path)
    with storage_errors(layout.path):
        layout.videos.mkdir(parents=True, exist_ok=True)
        probe = _temp_of(layout.path / "probe")
        durable.write_new(probe, b"")
        probe.unlink(missing_ok=True)  # whoever holds the lock may have been faster


def drop_temps(layout: RunLayout) -> None:
    """Remove what a killed render left on its way into place; only for the holder of the run's lock."""
    with storage_errors(layout.path):
        for path in (*layout.path.iterdir(), *layout.videos.rglob("*")):
            # Those of the lock are its own: somebody may be trying to take it right now.
            if _TEMP.fullmatch(path.name) and not path.name.startswith(f".{layout.lock.name}."):
                path.unlink(missing_ok=True)


def write_lines(path: Path, records: Iterable[str]) -> None:
    """Replace ``path`` by one line a record, whole and durable."""
    temp = _temp_of(path)
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
    """The records of a plan, for explaining; none if it is absent or cannot be parsed, and odd lines are passed over.

    What is made is never decided by them. Who acts on a plan asks ``read_plan``.

    Raises:
        StoreError: the file is there and cannot be read.
    """
    return [record for record in _parsed(path) or () if _is_planned(record)]


def read_values(path: Path) -> list[Any]:
    """The value of each line, whatever it is; none if the file is absent or cannot be parsed."""
    return _parsed(path) or []


def read_plan(layout: RunLayout) -> list[dict[str, Any]]:
    """Every record of the run's plan, tasks before videos.

    Raises:
        PlanError: no run is here.
        StoreError: the plan cannot be read, a line of it is none, or no file can have a name here that it gives.
    """
    with storage_errors(layout.plan):
        is_there = layout.plan.exists()
    if not is_there:
        raise no_run(layout)
    records = _parsed(layout.plan)
    if not records or not _is_plan(records):
        raise StoreUnusable(f"{layout.plan}: cannot be read as a plan; `ltx-ray render` writes it again")
    for path in (record["video"]["path"] for record in records if "video" in record):
        if (why := why_unnameable(path)) is not None:  # its file would seem to be gone
            raise StoreUnusable(f"{layout.plan}: the file {path!r} {why}")
    return records


def planned_keys(records: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The keys of the tasks among the records of a plan."""
    return (record["key"] for record in records if "key" in record)


def check_is_run(layout: RunLayout) -> None:
    """Raise PlanError unless a render was at this directory, however early it died."""
    with storage_errors(layout.path):
        if not any(path.exists() for path in (layout.plan, layout.journal, layout.lock)):
            raise no_run(layout)


def no_run(layout: RunLayout) -> PlanError:
    """The sentence for a directory that is no run."""
    return PlanError(f"{layout.path}: no run is here; name the directory that `ltx-ray render` made")


def published(history: History) -> dict[str, tuple[str, int]]:
    """Digest and size in bytes of the file last put at each path below ``videos/``."""
    return {
        record.path: (record.digest, record.num_bytes) for record in history.records if isinstance(record, Published)
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
        for folder in reversed(Path(path).parents):  # from videos/ on: the run directory may have been moved away
            (layout.videos / folder).mkdir(exist_ok=True)
        temp = _temp_of(target)
        try:
            try:
                temp.hardlink_to(artifact)
            except OSError:  # another file system, or one without links
                shutil.copyfile(artifact, temp)
                temp.chmod(0o444)  # as the object is: an editor must not change what the journal has a digest of
                with temp.open("rb") as file:
                    os.fsync(file.fileno())
            durable.replace_whole(temp, target)
        except OSError as error:
            if error.errno == errno.EINVAL:  # what FAT and its kin say of a name that they do not take
                raise OSError(errno.EILSEQ, os.strerror(errno.EILSEQ)) from error
            raise
        finally:
            with suppress(OSError):
                temp.unlink()


def _temp_of(path: Path) -> Path:
    """Where a file is written that then gets its name; ``_TEMP`` matches what this gives."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")


def _parsed(path: Path) -> list[Any] | None:
    """The value of each line; ``None`` if it is absent or not all of it can be parsed."""
    with storage_errors(path):
        try:
            return [json.loads(line) for line in path.read_text("ascii").splitlines()]
        except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
            return None


def _is_plan(records: list[Any]) -> bool:
    """Whether each line is a task or a video, and all that these name is among the tasks."""
    if not all(map(_is_planned, records)):
        return False
    keys = {record["key"] for record in records if "key" in record}
    parents = {parent for record in records if "key" in record for _, parent in record["parents"]}
    videos = [record["video"] for record in records if "video" in record]
    named = {key for video in videos for key in (video["stitch"], video.get("inspect")) if key is not None}
    return parents | named <= keys


def _is_planned(record: Any) -> bool:
    """Whether it is a task or a video with all that is asked of one here."""
    match record:
        case {"key": str(key), "stage": str(), "unit": str(), "recipe": dict(), "parents": list(parents)}:
            return is_hash(key) and all(map(_is_parent, parents))
        case {"video": {"id": str(), "path": path, "stitch": str(), **rest}}:
            return is_file_below(path) and isinstance(rest.get("inspect"), str | None)
    return False


def _is_parent(pair: Any) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) and isinstance(pair[1], str)
