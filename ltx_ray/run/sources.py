"""Files of the user's that videos are made of: their facts before anything is planned, their copies in the store.

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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args, get_origin, get_type_hints

from ltx_ray.errors import ManifestError, MediaError, Problem
from ltx_ray.manifest.schema import files_of
from ltx_ray.spec.canonical import canonical
from ltx_ray.spec.rebuild import rebuilt
from ltx_ray.spec.recipe import READER, IngestRecipe
from ltx_ray.spec.records import Done
from ltx_ray.spec.source import GivenFacts, Holds, SoundFacts, SourceFacts, StillFacts
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
#: Of the lines about files; those of a program that read files otherwise, or for less, say nothing now.
_SCHEMA = 10 * READER + 1


Facts = SourceFacts | StillFacts | SoundFacts
#: What the facts of a file are, by what it is taken for.
_KINDS: Mapping[Holds, type[Facts]] = {"film": SourceFacts, "image": StillFacts, "sound": SoundFacts}


class Source(NamedTuple):
    """A file as it was read: ``changed_ns`` is from before, so that a change meanwhile shows; None = not known."""

    facts: Facts
    changed_ns: int | None


@dataclass(frozen=True, slots=True)
class Sources:
    """The files of a manifest, by what they are taken for and path."""

    read: Mapping[tuple[Holds, str], Source]

    @property
    def facts(self) -> GivenFacts:
        by_kind: dict[type[Facts], dict[str, Any]] = {kind: {} for kind in _KINDS.values()}
        for (holds, path), source in self.read.items():
            by_kind[_KINDS[holds]][path] = source.facts
        return GivenFacts(films=by_kind[SourceFacts], images=by_kind[StillFacts], sounds=by_kind[SoundFacts])


def read_sources(manifest: Manifest, record: Path | None = None) -> Sources:
    """Facts of every file that a video names; each is read once for what it is taken for, or not at all.

    Args:
        record: what an earlier render wrote of ``source_lines``; None, or no such file = nothing is known yet.

    Raises:
        ManifestError: all videos whose file cannot be used, each with its reason.
    """
    named = [(video.id, file) for video in manifest.videos for file in files_of(video)]
    if not named:
        return Sources({})
    from ltx_ray.media.look import Looker

    known = _known(record)
    found: dict[tuple[Holds, str], Source | MediaError] = {}
    problems = []
    with Looker() as looker:
        for video_id, (key, path, holds) in named:
            if (holds, path) not in found:
                found[holds, path] = _source_or_error(Path(path), holds, known, looker)
            if isinstance(error := found[holds, path], MediaError):
                problems.append(Problem(f"{manifest.source}: video '{video_id}'", f"{key}: {error}"))
    if problems:
        raise ManifestError(tuple(problems))
    return Sources({file: source for file, source in found.items() if isinstance(source, Source)})


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
    for (holds, path), (facts, changed_ns) in sources.read.items():
        place = _place(Path(path))
        yield canonical({"schema": _SCHEMA, "holds": holds, "path": place, "changed_ns": changed_ns, "facts": facts})


def _place(path: Path) -> str:
    """The absolute path without links, as far as they can be followed."""
    return os.path.realpath(path)


def _known(record: Path | None) -> dict[tuple[Holds, str], Source]:
    """Files as an earlier render read them, by what they hold and absolute path; a record of no sense is none."""
    known = {}
    for line in read_values(record) if record is not None else ():
        match line:
            case {"schema": schema, "path": str(path), "changed_ns": int() | None as changed_ns, "facts": dict(read)}:
                holds = line.get("holds", "film")
                if schema == _SCHEMA and holds in _KINDS and (facts := _facts(_KINDS[holds], read)) is not None:
                    known[holds, path] = Source(facts, changed_ns)
    return known


def _facts(kind: type[Facts], read: Mapping[str, Any]) -> Facts | None:
    """None = a field is missing, or is not what it must be."""
    numbers = {"width_px", "height_px", "duration_s", "frame_rate"}
    try:
        facts: Facts = rebuilt(kind, read)
        counts = [getattr(facts, name) for name in numbers if hasattr(facts, name)]
        return facts if _is_of(facts) and is_hash(facts.sha256) and min(counts) > 0 else None
    except (TypeError, KeyError, ValueError, ZeroDivisionError, AttributeError):
        return None


def _is_of(value: object) -> bool:
    """Whether every field of a dataclass holds what its type says, as far as it is plain."""
    hints = get_type_hints(type(value))
    return all(_fits(getattr(value, name), hint) for name, hint in hints.items())


def _fits(value: object, hint: Any) -> bool:
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_fits(each, get_args(hint)[0]) for each in value)
    return type(value) is hint


def _source_or_error(
    path: Path, holds: Holds, known: Mapping[tuple[Holds, str], Source], looker: Looker
) -> Source | MediaError:
    try:
        now = _stat(path)
        source = known.get((holds, _place(path)))
        if source is not None and (
            now is None or (now.st_mtime_ns, now.st_size) == (source.changed_ns, source.facts.num_bytes)
        ):
            return source
        return Source(looker.look(_READERS[holds], path), None if now is None else now.st_mtime_ns)
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


# Each reads in a child process: only there a media library is loaded.


def _read_film(path: Path) -> SourceFacts:
    from ltx_ray.media.source import read_source

    return read_source(path)


def _read_image(path: Path) -> StillFacts:
    from ltx_ray.media.still import read_still

    return read_still(path)


def _read_sound(path: Path) -> SoundFacts:
    from ltx_ray.media.track import read_track

    return read_track(path)


_READERS: Mapping[Holds, Callable[[Path], Facts]] = {"film": _read_film, "image": _read_image, "sound": _read_sound}


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
