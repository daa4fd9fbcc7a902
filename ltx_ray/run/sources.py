"""Files of the user's that videos go on from: their facts before anything is planned, their copies in the store.

A copy is made by the render command itself, because the file may lie where no worker can see it; from then on it is an
artifact like any other. The plan knows a file by its digest, so a file that changed in between is refused.

What a run knew of its files is kept beside its plan: a file of the same size and time of change is not read again, and
one that is gone can still be planned with, because its copy may be in the store. All others are
read in a child process.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ltx_ray.errors import ManifestError, MediaError, Problem
from ltx_ray.manifest.schema import files_of
from ltx_ray.spec.canonical import canonical
from ltx_ray.spec.recipe import READER, IngestRecipe
from ltx_ray.spec.records import Done
from ltx_ray.spec.source import SourceFacts
from ltx_ray.spec.task import Task
from ltx_ray.store.faults import storage_errors
from ltx_ray.store.key_file import Meta
from ltx_ray.store.layout import is_hash
from ltx_ray.store.run_dir import read_values

if TYPE_CHECKING:
    from ltx_ray.manifest.schema import Manifest
    from ltx_ray.media.look import Looker
    from ltx_ray.store.protocol import Store

_BLOCK_BYTES = 1 << 20
#: Of the lines about files; those of a program that read files otherwise say nothing now.
_SCHEMA = READER


class Source(NamedTuple):
    """A file as it was read: ``changed_ns`` is from before, so that a change meanwhile shows; None = not known."""

    facts: SourceFacts
    changed_ns: int | None


@dataclass(frozen=True, slots=True)
class Sources:
    """The files of a manifest, by path."""

    read: Mapping[str, Source]

    @property
    def facts(self) -> Mapping[str, SourceFacts]:
        return {path: source.facts for path, source in self.read.items()}


def read_sources(manifest: Manifest, record: Path | None = None) -> Sources:
    """Facts of every file that a video names, by path; each is read once, or not at all.

    Args:
        record: what an earlier render wrote of ``source_lines``; None, or no such file = nothing is known yet.

    Raises:
        ManifestError: all videos whose file cannot be gone on from, each with its reason.
    """
    named = [(video.id, key, path) for video in manifest.videos for key, path in files_of(video)]
    if not named:
        return Sources({})
    from ltx_ray.media.look import Looker

    known = _known(record)
    found: dict[str, Source | MediaError] = {}
    problems = []
    with Looker() as looker:
        for video_id, key, path in named:
            if path not in found:
                found[path] = _source_or_error(Path(path), known, looker)
            if isinstance(error := found[path], MediaError):
                problems.append(Problem(f"{manifest.source}: video '{video_id}'", f"{key}: {error}"))
    if problems:
        raise ManifestError(tuple(problems))
    return Sources({path: source for path, source in found.items() if isinstance(source, Source)})


def ingest(task: Task, path: Path, store: Store) -> Done:
    """Copy the file at ``path`` into the store as the artifact of ``task``; its journal record.

    Raises:
        MediaError: the file is gone, or is not the one that was planned with.
    """
    assert isinstance(task.recipe, IngestRecipe)
    begun = time.monotonic()
    with store.scratch() as scratch:
        copy = scratch / "source"
        if _copied(path, copy) != task.recipe.sha256:
            raise MediaError(f"{path}: changed while it was being read; run the same command again")
        took_s = time.monotonic() - begun
        meta = Meta(
            stage=task.stage,
            unit=task.unit,
            recipe=json.loads(canonical(task.recipe)),
            run_s=took_s,
            total_s=took_s,
            suffix=path.suffix,
        )
        bound = store.commit(task.key, copy, meta)
    return Done(at=time.monotonic(), task=task.key, digest=bound.digest, num_bytes=bound.num_bytes, run_s=took_s)


def source_lines(sources: Sources) -> Iterator[str]:
    """What to write down of files that were read, for ``read_sources`` of a later render."""
    for path, (facts, changed_ns) in sources.read.items():
        yield canonical({"schema": _SCHEMA, "path": _place(Path(path)), "changed_ns": changed_ns, "facts": facts})


def _place(path: Path) -> str:
    """The absolute path without links, as far as they can be followed."""
    return os.path.realpath(path)


def _known(record: Path | None) -> dict[str, Source]:
    """Files as an earlier render read them, by absolute path; a record of no sense is none."""
    known = {}
    for line in read_values(record) if record is not None else ():
        match line:
            case {"schema": schema, "path": str(path), "changed_ns": int() | None as changed_ns, "facts": dict(read)}:
                if schema == _SCHEMA and (facts := _facts(read)) is not None:
                    known[path] = Source(facts, changed_ns)
    return known


def _facts(read: Mapping[str, Any]) -> SourceFacts | None:
    """None = a field is missing, or is not what it must be."""
    match read:
        case {
            "sha256": str(sha256),
            "num_bytes": int(num_bytes),
            "duration_s": {"fraction": [int() as numerator, int() as denominator]},
            "frame_rate": {"fraction": [int() as frames, int() as seconds]},
            "width_px": int(width_px),
            "height_px": int(height_px),
            "has_sound": bool(has_sound),
            "is_constant": bool(is_constant),
            "tracks": [*tracks],
            "shifts": [*shifts],
            "colour_note": str(colour_note),
            "notes": [*notes],
        } if (
            is_hash(sha256)
            and _all_are(bool, tracks)
            and _all_are(str, notes)
            and min(numerator, denominator, frames, seconds, width_px, height_px) > 0
        ):
            return SourceFacts(
                sha256=sha256,
                num_bytes=num_bytes,
                duration_s=Fraction(numerator, denominator),
                frame_rate=Fraction(frames, seconds),
                width_px=width_px,
                height_px=height_px,
                has_sound=has_sound,
                is_constant=is_constant,
                tracks=tuple(tracks),
                shifts=tuple(Fraction(*shift["fraction"]) for shift in shifts),
                colour_note=colour_note,
                notes=tuple(notes),
            )
    return None


def _all_are(kind: type, values: list[Any]) -> bool:
    return all(isinstance(value, kind) for value in values)


def _source_or_error(path: Path, known: Mapping[str, Source], looker: Looker) -> Source | MediaError:
    try:
        now = _stat(path)
        source = known.get(_place(path))
        if source is not None and (
            now is None or (now.st_mtime_ns, now.st_size) == (source.changed_ns, source.facts.num_bytes)
        ):
            return source
        return Source(looker.look(_read, path), None if now is None else now.st_mtime_ns)
    except MediaError as error:
        return error
    except OSError as error:
        return MediaError(
            f"{path}: cannot be looked at ({error.strerror}); check its path, its permissions and its disk"
        )


def _stat(path: Path) -> os.stat_result | None:
    """None = there is no such file."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _read(path: Path) -> SourceFacts:
    """In a child process: only there a media library is loaded."""
    from ltx_ray.media.source import read_source

    return read_source(path)


def _copied(path: Path, copy: Path) -> str:
    """Copy a file and return the digest of what was copied."""
    digest = hashlib.sha256()
    try:
        source = path.open("rb")
    except OSError as error:
        raise MediaError(f"{path}: cannot be read any more ({error.strerror}); put it back and try again") from error
    with source, storage_errors(copy), copy.open("wb") as target:
        while block := source.read(_BLOCK_BYTES):
            digest.update(block)
            target.write(block)
    return digest.hexdigest()
