"""The finished beginning of a video that is still being made, as a file to play.

Coded chunks are joined as they are. The sound of a take is there at once only when the whole take is; before that it is
decoded here from the segments that are. Takes no lock and leaves the run as it is.
"""

from __future__ import annotations

import difflib
import math
import secrets
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ltx_ray.errors import ModelError, PlanError, StoreUnusable
from ltx_ray.spec.recipe import (
    AudioDecodeRecipe,
    ClipDecodeRecipe,
    ClipSoundRecipe,
    DecodeRecipe,
    IngestRecipe,
    StitchRecipe,
)
from ltx_ray.spec.task import Parent, Task
from ltx_ray.store.faults import storage_errors

if TYPE_CHECKING:
    from ltx_ray.models.catalog import Catalog
    from ltx_ray.plan.record import RecordedVideo
    from ltx_ray.run.record import Run
    from ltx_ray.spec.grid import AudioGrid
    from ltx_ray.store.layout import RunLayout
    from ltx_ray.store.protocol import Store

#: Samples copied at a time: two seconds.
BLOCK = 96_000


@dataclass(frozen=True, slots=True)
class Preview:
    """``num_shown`` of ``num_frames`` are in the file."""

    video: str
    path: Path
    num_shown: int
    num_frames: int
    frame_rate: Fraction
    sound_s: float  #: of sound; silence fills the rest

    @property
    def shown_s(self) -> float:
        return float(self.num_shown / self.frame_rate)

    @property
    def whole_s(self) -> float:
        return float(self.num_frames / self.frame_rate)


class _Kept(NamedTuple):
    """What of a run is there; local files live as long as ``stack``."""

    store: Store
    known: Collection[str]
    catalog: Catalog
    stack: ExitStack

    def file(self, key: str) -> Path:
        return self.stack.enter_context(self.store.local_path(key))

    def grid(self, recipe: AudioDecodeRecipe) -> AudioGrid:
        """Of the sound that the recipe's model makes."""
        try:
            return self.catalog.find(recipe.weights).facts.audio
        except ModelError as error:
            raise ModelError(f"{error}; so sound cannot be decoded: leave it out with --silent") from None

    def sample_rate_hz(self, sound: Task) -> int:
        recipe = sound.recipe
        if isinstance(recipe, ClipSoundRecipe):
            return recipe.sample_rate_hz
        assert isinstance(recipe, AudioDecodeRecipe)
        return self.grid(recipe).sample_rate_hz

    def leading(self, parents: Sequence[Parent], role: str) -> tuple[Parent, ...]:
        """The parents with this role up to the first that is not there."""
        with_role = (parent for parent in parents if parent.role == role)
        return tuple(takewhile(lambda parent: parent.key in self.known, with_role))


def make_preview(run: Run, video_id: str, catalog: Catalog, *, out: Path | None, silent: bool) -> Preview:
    """Write the finished beginning of a video to ``out``, or below the run's ``preview/``.

    Raises:
        PlanError: no such video, nothing of it to show yet, or ``out`` is no place for it.
        StoreError: the plan of the video cannot be relied upon, or the file cannot be written.
    """
    store = run.store
    video = _video(run, video_id)
    target = _target(run.layout, video.path, out)
    stitch, parts = _planned(run, video)
    with ExitStack() as stack:
        kept = _Kept(store, run.kept, catalog, stack)
        whole = stitch.recipe
        assert isinstance(whole, StitchRecipe)
        with storage_errors(target):
            if stitch.key in kept.known and not silent:
                scratch = stack.enter_context(_folder_beside(target))
                shutil.copyfile(kept.file(stitch.key), scratch / "video")
                num_shown, sound_s = whole.num_frames, float(whole.num_frames / whole.frame_rate)
            else:
                chunks = [parts[parent.key] for parent in kept.leading(stitch.parents, "chunk")]
                if not chunks:
                    raise PlanError(
                        f"{run.layout.path}: nothing of '{video_id}' can be shown yet; try again a little later"
                    )
                scratch = stack.enter_context(_folder_beside(target))
                num_shown = sum(_num_frames(chunk, whole) for chunk in chunks)
                recipe = replace(whole, num_frames=num_shown, provenance=None)  # that speaks of the whole file
                sounds = [] if silent else [parts[key] for role, key in stitch.parents if role == "sound"]
                sound_s = _join(kept, chunks, sounds, recipe, scratch)
            (scratch / "video").replace(target)
    return Preview(video_id, target, num_shown, whole.num_frames, whole.frame_rate, sound_s)


def _planned(run: Run, video: RecordedVideo) -> tuple[Task, dict[str, Task]]:
    """The video's stitch and, by key, what it joins.

    Raises:
        StoreUnusable: what the plan says of them was changed.
    """
    try:
        stitch = run.tasks[video.stitch].as_planned()
        return stitch, {parent.key: run.tasks[parent.key].as_planned() for parent in stitch.parents}
    except ValueError as error:
        raise StoreUnusable(
            f"{run.layout.plan}: what it says of '{video.id}' was changed, or is of another version; "
            "`ltx-ray render` writes it again"
        ) from error


def _num_frames(chunk: Task, whole: StitchRecipe) -> int:
    if isinstance(chunk.recipe, IngestRecipe):
        return whole.num_frames  # a film whose packets are copied
    assert isinstance(chunk.recipe, DecodeRecipe | ClipDecodeRecipe)
    return chunk.recipe.stop - chunk.recipe.start


def _join(kept: _Kept, chunks: Sequence[Task], sounds: Sequence[Task], recipe: StitchRecipe, scratch: Path) -> float:
    """Write ``scratch``/video of these chunks and of what there is of their sound; seconds of that."""
    from ltx_ray.media.audio import write_wav
    from ltx_ray.media.join import join_chunks

    pictures = [kept.file(chunk.key) for chunk in chunks]
    if not sounds:
        join_chunks(pictures, scratch / "video", recipe=recipe, sound=None)
        return 0.0
    rate_hz = kept.sample_rate_hz(sounds[0])
    num_samples = math.floor(recipe.num_frames / recipe.frame_rate * rate_hz)
    parts = list(_parts(kept, sounds, recipe.sound_samples, num_samples, scratch))
    write_wav(_end_to_end(parts), scratch / "sound", sample_rate_hz=rate_hz)
    join_chunks(pictures, scratch / "video", recipe=recipe, sound=scratch / "sound")
    return sum(part.num_there for part in parts) / rate_hz


class _Part(NamedTuple):
    """The sound of a take, or its beginning: ``num_there`` samples of a file, then silence."""

    path: Path | None
    num_samples: int
    num_there: int


def _parts(
    kept: _Kept, sounds: Sequence[Task], lengths: Sequence[int], num_samples: int, scratch: Path
) -> Iterator[_Part]:
    """As many takes as fill ``num_samples``, the last one cut; each has so many samples in the whole file."""
    from ltx_ray.media.audio import open_wav

    for idx, (sound, length) in enumerate(zip(sounds, lengths, strict=True)):
        wanted = min(length, num_samples)
        num_samples -= wanted
        if wanted:
            path = kept.file(sound.key) if sound.key in kept.known else _made(kept, sound, scratch / str(idx))
            yield _Part(path, wanted, min(wanted, open_wav(path).num_samples) if path is not None else 0)


def _end_to_end(parts: Sequence[_Part]) -> Iterator[np.ndarray]:
    from ltx_ray.media.audio import open_wav

    for part in parts:
        for start in range(0, part.num_there, BLOCK):
            assert part.path is not None
            yield open_wav(part.path).samples(start, min(start + BLOCK, part.num_there))
        for start in range(part.num_there, part.num_samples, BLOCK):
            yield np.zeros((2, min(BLOCK, part.num_samples - start)), np.float32)


def _made(kept: _Kept, sound: Task, scratch: Path) -> Path | None:
    """The sound of a take as far as its segments are finished; None if nothing of it is."""
    recipe, parents = _beginning(kept, sound)
    if not parents or not recipe.num_samples:
        return None
    from ltx_ray.models.load import Loaded
    from ltx_ray.worker.make import make
    from ltx_ray.worker.parents import Parents

    scratch.mkdir()
    task = replace(sound, recipe=recipe, parents=parents)
    inputs = Parents(task, kept.store, kept.stack)
    content, _ = make(recipe, inputs, models=Loaded(kept.catalog), control=_Unwatched(), scratch=scratch)
    assert isinstance(content, Path)
    return content


def _beginning(kept: _Kept, sound: Task) -> tuple[AudioDecodeRecipe | ClipSoundRecipe, tuple[Parent, ...]]:
    """The recipe and inputs of a sound without what it would need of unfinished segments."""
    recipe = sound.recipe
    if isinstance(recipe, ClipSoundRecipe):
        return recipe, kept.leading(sound.parents, "file")
    assert isinstance(recipe, AudioDecodeRecipe)
    if recipe.patch is not None or recipe.crossfade is not None:
        if all(parent.key in kept.known for parent in sound.parents):
            return recipe, sound.parents
        recipe = replace(recipe, patch=None, crossfade=None)  # what it passes into or from may not be there
    parents = kept.leading(sound.parents, "latent")
    pieces = recipe.pieces[: len(parents)]
    grid = kept.grid(recipe)
    num_cells = sum(piece.stop - piece.start for piece in pieces)
    decoded = grid.num_samples(grid.num_slots(num_cells) * grid.slot_s) if num_cells else 0
    num_samples = max(0, min(recipe.num_samples, decoded - recipe.start))
    return replace(recipe, pieces=pieces, num_samples=num_samples), parents


class _Unwatched:
    """The Control of work that nobody watches or stops."""

    def step(self, step_idx: int, num_steps: int) -> None: ...
    def alive(self, *, is_loading: bool = False) -> None: ...


def _video(run: Run, video_id: str) -> RecordedVideo:
    videos = {video.id: video for video in run.videos}
    if video_id in videos:
        return videos[video_id]
    nearest = difflib.get_close_matches(video_id, videos, n=1, cutoff=0.0)
    hint = f"nearest is '{nearest[0]}'" if nearest else "it has no video"
    raise PlanError(f"{run.layout.path}: has no video '{video_id}'; {hint}")


def _target(layout: RunLayout, path: str, out: Path | None) -> Path:
    """Where the file goes: never among the finished ones, and named as what it is."""
    if out is None:
        return layout.previews / path
    suffix = Path(path).suffix
    if out.suffix.lower() != suffix.lower():
        raise PlanError(f"--out: '{out}' is not named as what the video is; give it a name that ends in {suffix}")
    if layout.videos.resolve() in out.resolve().parents:
        raise PlanError(f"--out: {out} is among the finished videos; name a place outside {layout.videos}")
    return out


@contextmanager
def _folder_beside(target: Path) -> Iterator[Path]:
    """A private directory on the target's file system, removed at the end of the block."""
    folder = target.parent / f".preview-{secrets.token_hex(8)}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
