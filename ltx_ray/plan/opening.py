"""How a video begins that goes on from a file: the file's end as a connector, and the file itself if it is shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ltx_ray.errors import PlanError
from ltx_ray.manifest.schema import Video
from ltx_ray.plan.conditions import Planned, Provided, Provider, SegmentStage
from ltx_ray.plan.connectors import held_at_head
from ltx_ray.plan.dag import Plan
from ltx_ray.plan.layout import decoded_size
from ltx_ray.plan.notes import Note
from ltx_ray.plan.segments import Take, decode_windows
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.recipe import (
    ClipDecodeRecipe,
    ClipSoundRecipe,
    ConditionRecipe,
    EncodeSettings,
    Footage,
    IngestRecipe,
)
from ltx_ray.spec.source import SourceFacts
from ltx_ray.spec.task import Parent

#: Latents' worth of frames in a chunk of a file that is only brought to the output's size and coded.
CLIP_WINDOW_LATENTS = 64


@dataclass(frozen=True, slots=True)
class Opening:
    """``num_frames`` of the file at the video's rate; ``num_shown`` of them, all or none, come first in the output."""

    sha256: str
    num_frames: int
    num_shown: int
    connector: Provider
    chunks: tuple[Parent, ...] = ()
    chunk_frames: tuple[int, ...] = ()
    sounds: tuple[Parent, ...] = ()
    sound_samples: tuple[int, ...] = ()


def plan_opening(
    plan: Plan,
    video: Video,
    facts: ModelFacts,
    take: Take,
    sources: Mapping[str, SourceFacts],
    encode: EncodeSettings,
) -> Opening:
    """Enter the tasks that bring a file to the video's rate and size.

    Raises:
        PlanError: the file is shorter than the connector.
    """
    assert video.extend is not None
    path = video.extend.path
    source = sources[path]
    num_frames = source.num_frames(video.frame_rate)
    if num_frames < take.lead:
        step = facts.video.frames_per_latent
        fits = (num_frames - 1) // step * step + 1
        remedy = (
            f"set `segment.connector` to at most {fits}" if fits > step else f"at least {step + 1} frames are needed"
        )
        raise PlanError(
            f"extend.path: {path} has {num_frames} frames at this rate, fewer than the connector of {take.lead}; "
            f"{remedy}"
        )
    if not _has_sound(source, path, video.extend.sound):
        many = "videos go on from a file without sound; silence stands for it"
        plan.notes.append(Note(f"{path} has no sound; silence stands for it", video.id, many))
    file = plan.add("ingest", f"{video.id}/source", IngestRecipe(sha256=source.sha256))
    plan.files[file] = path
    parents = (Parent("file", file),)
    stages: tuple[SegmentStage, ...] = ("generate",) if video.is_draft else ("generate", "refine")
    keys = {stage: _condition(plan, video, facts, take, source, parents, stage) for stage in stages}
    plan.notes += [Note(f"{path} {note}", video.id) for note in source.notes]
    if source.colour_note and video.extend.matrix is None:
        many = "videos go on from files that say nothing of their colours, which are taken from size and writer"
        plan.notes.append(Note(f"{path} {source.colour_note}", video.id, many))
    _note_conversion(plan, video, facts, source)
    opening = Opening(source.sha256, num_frames, 0, _connector(keys))
    return _shown(plan, video, facts, opening, source, parents, encode) if video.extend.include_source else opening


def _has_sound(source: SourceFacts, path: str, track: int | None) -> bool:
    if track is None:
        return source.has_sound
    if track >= len(source.tracks):
        last = len(source.tracks) - 1
        there = "no sound" if last < 0 else "sound track 0 alone" if not last else f"sound tracks 0 to {last}"
        raise PlanError(f"extend.sound: {track} is not in {path}, which has {there}")
    return source.tracks[track]


def _connector(keys: Mapping[SegmentStage, str]) -> Provider:
    """The end of the file, at the head of the first segment."""

    def provide(planned: Planned, segment_idx: int, stage: SegmentStage) -> Iterator[Provided]:
        if segment_idx == 0:
            yield from held_at_head(planned, segment_idx, keys[stage])

    return provide


def _condition(
    plan: Plan,
    video: Video,
    facts: ModelFacts,
    take: Take,
    source: SourceFacts,
    parents: tuple[Parent, ...],
    stage: SegmentStage,
) -> str:
    width, height = video.width, video.height
    if stage == "generate":
        width, height = facts.video.stage1_px(width), facts.video.stage1_px(height)
    assert video.extend is not None
    num_frames = source.num_frames(video.frame_rate)
    recipe = ConditionRecipe(
        weights=facts.weights_for("condition"),
        footage=_footage(video, source, width, height),
        start=num_frames - take.lead,
        stop=num_frames,
        num_cells=take.segments[0].own_cells.start,
        sample_rate_hz=facts.audio.sample_rate_hz,
        track=video.extend.sound,
    )
    return plan.add(
        "condition",
        f"{video.id}/source/{'full' if stage == 'refine' or video.is_single_pass else 'half'}",
        recipe,
        parents,
        file=video.extend.path,
    )


def _footage(video: Video, source: SourceFacts, width_px: int, height_px: int) -> Footage:
    return Footage(
        frame_rate=video.frame_rate,
        width_px=width_px,
        height_px=height_px,
        shifts=source.shifts,
        matrix=video.extend.matrix if video.extend else None,
    )


def _shown(
    plan: Plan,
    video: Video,
    facts: ModelFacts,
    opening: Opening,
    source: SourceFacts,
    parents: tuple[Parent, ...],
    encode: EncodeSettings,
) -> Opening:
    """The opening with the tasks that make chunks and sound of the file itself."""
    width, height = decoded_size(video, facts)
    footage = _footage(video, source, width, height)
    assert video.extend is not None
    path = video.extend.path
    windows = decode_windows(0, opening.num_frames, CLIP_WINDOW_LATENTS, facts.video)
    chunks = [
        plan.add(
            "decode",
            f"{video.id}/source/window {window_idx}",
            ClipDecodeRecipe(footage=footage, start=start, stop=stop, encode=encode),
            parents,
            file=path,
        )
        for window_idx, (start, stop) in enumerate(windows)
    ]
    num_samples = facts.audio.num_samples(opening.num_frames / video.frame_rate)
    sound = ClipSoundRecipe(
        sample_rate_hz=facts.audio.sample_rate_hz,
        num_samples=num_samples,
        shifts=source.shifts,
        track=video.extend.sound,
    )
    return Opening(
        opening.sha256,
        opening.num_frames,
        opening.num_frames,
        opening.connector,
        chunks=tuple(Parent("chunk", key) for key in chunks),
        chunk_frames=tuple(stop - start for start, stop in windows),
        sounds=(Parent("sound", plan.add("audio_decode", f"{video.id}/source", sound, parents, file=path)),),
        sound_samples=(num_samples,),
    )


def _note_conversion(plan: Plan, video: Video, facts: ModelFacts, source: SourceFacts) -> None:
    """Say what becomes of a file that is not what the video is."""
    width, height = decoded_size(video, facts)
    if source.frame_rate != video.frame_rate:
        rates = (f"{float(rate):.6g}" for rate in (source.frame_rate, video.frame_rate))
        what = f"is brought from {' to '.join(rates)} frames a second by repeating or dropping frames"
        many = "sources are brought to the rate of their video by repeating or dropping frames"
        plan.notes.append(Note(f"the source {what}", video.id, many))
    if (source.width_px, source.height_px) != (width, height):
        what = f"from {source.width_px}x{source.height_px} to cover {width}x{height}, and cropped around its centre"
        many = "sources are scaled to cover the size of their video, and cropped around their centre"
        plan.notes.append(Note(f"the source is scaled {what}", video.id, many))
