"""What a file needs of one take: the chunks of its picture, its sound, and where its seams are."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ltx_ray.manifest.schema import Video
from ltx_ray.plan.chain import Chain
from ltx_ray.plan.conditions import Provider
from ltx_ray.plan.dag import Plan
from ltx_ray.plan.segments import Take
from ltx_ray.plan.windows import Window, windows
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.piece import Piece
from ltx_ray.spec.recipe import AudioDecodeRecipe, DecodeRecipe, EncodeSettings
from ltx_ray.spec.task import Parent


@dataclass(slots=True)
class TakeTasks:
    """What a file needs of a take. ``seams``: first shown frame after each, and the key of its connect task, if any."""

    chunks: list[str] = field(default_factory=list)
    chunk_frames: list[int] = field(default_factory=list)
    seams: list[tuple[int, str | None]] = field(default_factory=list)
    sound: str = ""
    num_samples: int = 0  #: of the sound that are heard


def plan_take(
    plan: Plan,
    video: Video,
    take: Take,
    *,
    facts: ModelFacts,
    unit: str,
    encode: EncodeSettings,
    providers: tuple[Provider, ...],
    file_start: int,
) -> TakeTasks:
    """Enter a take's tasks.

    Args:
        providers: of what its segments are given beside what they are given in every take.
        file_start: the frame of the file at which it begins.
    """
    chain = Chain(plan, video, take, facts, unit, providers=providers)
    chain.plan()
    made = TakeTasks()
    for window_idx, window in enumerate(windows(video, take, facts)):
        made.chunks.append(_plan_window(plan, video, window, chain, encode, f"{unit}/window {window_idx}"))
        made.chunk_frames.append(window.num_frames)
    for segment_idx in range(1, len(take.segments)):
        frame = take.segments[segment_idx - 1].kept_stop - take.lead
        made.seams.append((frame, chain.connectors.get(segment_idx)))
    made.num_samples = _num_samples(file_start, take.num_frames, video, facts)
    made.sound = _plan_sound(plan, video, take, chain, unit)
    return made


def _plan_window(plan: Plan, video: Video, window: Window, chain: Chain, encode: EncodeSettings, unit: str) -> str:
    recipe = DecodeRecipe(
        weights=chain.facts.weights_for("decode"),
        pieces=window.pieces,
        start=window.start,
        stop=window.stop,
        fade=window.fade,
        tiling=video.decode_tiling,
        frame_rate=video.frame_rate,
        encode=encode,
    )
    parents = [Parent("latent", chain.refined[segment_idx]) for segment_idx in window.segments]
    if window.previous is not None:
        parents.append(Parent("previous", chain.refined[window.previous]))
    return plan.add("decode", unit, recipe, tuple(parents))


def _plan_sound(plan: Plan, video: Video, take: Take, chain: Chain, unit: str) -> str:
    pieces = tuple(
        Piece(segment.own_cells.start - segment.cells.start if segment_idx else 0, own_stop)
        for segment_idx, segment in enumerate(take.segments)
        for own_stop in [segment.own_cells.stop - segment.cells.start]
    )
    recipe = AudioDecodeRecipe(
        weights=chain.facts.weights_for("audio_decode"),
        pieces=pieces,
        start=chain.facts.audio.num_samples(take.lead / video.frame_rate),
        num_samples=math.ceil(take.num_frames / video.frame_rate * chain.facts.audio.sample_rate_hz),
    )
    parents = tuple(Parent("latent", chain.sounding[segment_idx]) for segment_idx in range(len(take.segments)))
    return plan.add("audio_decode", unit, recipe, parents)


def decoded_size(video: Video, facts: ModelFacts) -> tuple[int, int]:
    """Width and height of what is decoded, before any crop."""
    if video.is_draft:
        return facts.video.stage1_px(video.width), facts.video.stage1_px(video.height)
    return video.width, video.height


def _num_samples(file_start: int, num_frames: int, video: Video, facts: ModelFacts) -> int:
    """Samples from a frame of the file on, on the file's sample grid, so that takes add up exactly."""
    samples = facts.audio.num_samples
    return samples((file_start + num_frames) / video.frame_rate) - samples(file_start / video.frame_rate)
