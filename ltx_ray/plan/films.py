"""Films that are given whole: what the segments see of one, and its picture as chunks of the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from ltx_ray.manifest.schema import Detail, Video
from ltx_ray.plan.conditions import Planned, Provided, SegmentStage
from ltx_ray.plan.dag import Plan
from ltx_ray.plan.notes import Note
from ltx_ray.plan.segments import decode_windows
from ltx_ray.plan.sounds import RUN_UP_CELLS
from ltx_ray.spec.codecs import CODECS
from ltx_ray.spec.conditions import Freeze, Reference
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.piece import Piece
from ltx_ray.spec.recipe import ClipDecodeRecipe, EncodeSettings, FilmRecipe, Footage, IngestRecipe, TrackRecipe
from ltx_ray.spec.source import SourceFacts
from ltx_ray.spec.task import Parent
from ltx_ray.spec.weights import Part

Fit = Literal["cover", "reflect"]
_PARTS: tuple[Part, ...] = ("video_vae",)
_SOUND_PARTS: tuple[Part, ...] = ("audio_vae",)
#: Latents' worth of frames in a chunk of a film that is only coded.
CHUNK_LATENTS = 64


@dataclass(frozen=True, slots=True)
class PictureOfFilm:
    """A provider: all of the picture, frozen."""

    path: str
    source: SourceFacts

    def __call__(self, planned: Planned, segment_idx: int, stage: SegmentStage) -> Iterator[Provided]:
        segment = planned.take.segments[segment_idx]
        key = film_latents(planned, segment_idx, stage, self.path, self.source)
        num_latents = planned.facts.video.num_latents(segment.num_frames)
        yield Provided(Freeze(modality="video", piece=Piece(0, num_latents)), key)


def film_latents(
    planned: Planned,
    segment_idx: int,
    stage: SegmentStage,
    path: str,
    source: SourceFacts,
    *,
    downscale: int = 1,
    fit: Fit = "cover",
    edges: str = "",
    name: str = "film",
) -> str:
    """Key of a film as latents, under all frames of a segment, ``downscale`` times smaller than the stage's picture."""
    segment, plan = planned.take.segments[segment_idx], planned.plan_
    width, height = planned.size_px(stage)
    start = planned.take.start + segment.start - planned.take.lead
    recipe = FilmRecipe(
        weights=planned.facts.weights_for("condition", parts=_PARTS),
        footage=footage_of(planned.video, source, width // downscale, height // downscale, fit=fit),
        start=start,
        stop=start + segment.num_frames,
        edges=edges,
    )
    file = ingest_film(plan, planned.video, path, source, name=name)
    unit = f"{planned.name(segment_idx)}/{name}"
    return plan.add("condition", unit, recipe, (Parent("file", file),), file=path)


def ingest_film(plan: Plan, video: Video, path: str, source: SourceFacts, *, name: str = "film") -> str:
    key = plan.add("ingest", f"{video.id}/{name}", IngestRecipe(sha256=source.sha256))
    plan.files[key] = path
    return key


def film_cells(planned: Planned, segment_idx: int, path: str, source: SourceFacts) -> str:
    """Key of the film's sound as the segment's cells."""
    cells, grid, plan = planned.take.segments[segment_idx].cells, planned.facts.audio, planned.plan_
    first = max(0, cells.start - RUN_UP_CELLS)
    recipe = TrackRecipe(
        weights=planned.facts.weights_for("condition", parts=_SOUND_PARTS),
        start_s=planned.take.start / planned.video.frame_rate + first * grid.slots_per_cell * grid.slot_s,
        run_up_cells=cells.start - first,
        num_cells=cells.length,
        sample_rate_hz=grid.sample_rate_hz,
        shifts=source.shifts,
    )
    file = ingest_film(plan, planned.video, path, source)
    return plan.add("condition", f"{planned.name(segment_idx)}/sound", recipe, (Parent("file", file),), file=path)


def footage_of(video: Video, source: SourceFacts, width_px: int, height_px: int, *, fit: Fit = "cover") -> Footage:
    """The film at the video's rate and a size."""
    return Footage(frame_rate=video.frame_rate, width_px=width_px, height_px=height_px, shifts=source.shifts, fit=fit)


@dataclass(frozen=True, slots=True)
class DetailOfFilm:
    """A provider for stage 2 over a film: the film once more as a guide, and its sound, frozen."""

    detail: Detail
    source: SourceFacts

    def __call__(self, planned: Planned, segment_idx: int, stage: SegmentStage) -> Iterator[Provided]:
        path, segment = self.detail.path, planned.take.segments[segment_idx]
        latents = Piece(0, planned.facts.video.num_latents(segment.num_frames))
        downscale = self.detail.downscale
        key = film_latents(planned, segment_idx, stage, path, self.source, downscale=downscale)
        yield Provided(Reference(modality="video", piece=latents, downscale=downscale), key)
        cells = film_cells(planned, segment_idx, path, self.source)
        yield Provided(Freeze(modality="audio", piece=Piece(0, segment.cells.length)), cells)


@dataclass(frozen=True, slots=True)
class ShippedPicture:
    """The picture of a film as chunks of the file, at its own size."""

    chunks: tuple[Parent, ...]
    chunk_frames: tuple[int, ...]
    width_px: int
    height_px: int


def ship_picture(
    plan: Plan, video: Video, facts: ModelFacts, source: SourceFacts, encode: EncodeSettings, container: str
) -> ShippedPicture:
    """Enter what ships the film's picture: its packets as they are, or where the file cannot hold them coded anew."""
    assert video.picture is not None
    path, num_frames = video.picture.path, source.num_frames(video.frame_rate)
    file = ingest_film(plan, video, path, source)
    if source.chunk_codec and container in CODECS[source.chunk_codec].containers:
        return ShippedPicture((Parent("chunk", file),), (num_frames,), source.width_px, source.height_px)
    width, height = source.width_px // 2 * 2, source.height_px // 2 * 2
    why = f"its packets cannot be copied into .{container}"
    many = "films are coded anew, because their packets cannot be copied"
    plan.notes.append(Note(f"{path} is coded anew: {why}", video.id, many))
    footage = footage_of(video, source, width, height)
    windows = decode_windows(0, num_frames, CHUNK_LATENTS, facts.video)
    keys = [
        plan.add(
            "decode",
            f"{video.id}/film/window {window_idx}",
            ClipDecodeRecipe(footage=footage, start=start, stop=stop, encode=replace(encode, crop_px=None)),
            (Parent("file", file),),
            file=path,
        )
        for window_idx, (start, stop) in enumerate(windows)
    ]
    lengths = tuple(stop - start for start, stop in windows)
    return ShippedPicture(tuple(Parent("chunk", key) for key in keys), lengths, width, height)
