"""What a file needs of one take: the chunks of its picture, its sound, and where its seams are."""

from __future__ import annotations

from dataclasses import dataclass, field

from ltx_ray.manifest.schema import Video
from ltx_ray.plan.chain import Chain
from ltx_ray.plan.conditions import Provider
from ltx_ray.plan.dag import Plan
from ltx_ray.plan.layout import TakeLayout
from ltx_ray.spec.model import ModelFacts
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
    layout: TakeLayout,
    *,
    facts: ModelFacts,
    unit: str,
    providers: tuple[Provider, ...],
    file_start: int,
) -> TakeTasks:
    """Enter a take's tasks.

    Args:
        providers: of what its segments are given beside what they are given in every take.
        file_start: the frame of the file at which it begins.
    """
    take = layout.take
    chain = Chain(plan, video, take, facts, unit, providers=providers)
    chain.plan()
    made = TakeTasks()
    for window_idx, (window, recipe) in enumerate(zip(layout.windows, layout.pictures, strict=True)):
        parents = [Parent("latent", chain.refined[segment_idx]) for segment_idx in window.segments]
        if window.previous is not None:
            parents.append(Parent("previous", chain.refined[window.previous]))
        made.chunks.append(plan.add("decode", f"{unit}/window {window_idx}", recipe, tuple(parents)))
        made.chunk_frames.append(window.num_frames)
    for segment_idx in range(1, len(take.segments)):
        frame = take.segments[segment_idx - 1].kept_stop - take.lead
        made.seams.append((frame, chain.connectors.get(segment_idx)))
    made.num_samples = _num_samples(file_start, take.num_frames, video, facts)
    latents = tuple(Parent("latent", chain.sounding[segment_idx]) for segment_idx in range(len(take.segments)))
    made.sound = plan.add("audio_decode", unit, layout.sound, latents)
    return made


def _num_samples(file_start: int, num_frames: int, video: Video, facts: ModelFacts) -> int:
    """Samples from a frame of the file on, on the file's sample grid, so that takes add up exactly."""
    rate_hz, frame_rate = facts.audio.sample_rate_hz, video.frame_rate
    first, stop = (
        frame * rate_hz * frame_rate.denominator // frame_rate.numerator
        for frame in (file_start, file_start + num_frames)
    )
    return stop - first
