"""From scenes to takes and model calls: exact arithmetic, nothing else.

A take is a stretch between cuts: one latent timeline, one audio grid. Its end is exact; it is rendered to the next
valid frame count and trimmed when frames leave the decoder. This version makes a take from one segment; a take that
needs more is refused with what would fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from ltx_ray.errors import PlanError
from ltx_ray.manifest.schema import Scene, Segment
from ltx_ray.spec.grid import VideoGrid, round_half_up
from ltx_ray.spec.model import ModelFacts


@dataclass(frozen=True, slots=True)
class Take:
    """Frames [start, start + num_frames) of a video; ``num_rendered`` >= num_frames is what the model is asked for."""

    start: int
    num_frames: int
    num_rendered: int
    scene: Scene


def cut_takes(scenes: tuple[Scene, ...], segment: Segment, *, frame_rate: Fraction, facts: ModelFacts) -> list[Take]:
    """The takes of a video, in order.

    Raises:
        PlanError: a take needs more than one segment, or is longer than the model can attend to.
    """
    bounds = _scene_bounds(scenes, frame_rate)
    takes = []
    for scene_idx, (scene, (start, stop)) in enumerate(zip(scenes, pairwise(bounds), strict=True)):
        if scene_idx and not scene.cut:
            raise PlanError(
                f"scenes[{scene_idx}].cut: false joins two prompts in one take, which needs chained segments that "
                "this version does not make; set `cut: true`, or give both scenes one prompt"
            )
        rendered = facts.video.round_up(stop - start)
        _check_length(stop - start, rendered, segment, frame_rate=frame_rate, facts=facts)
        takes.append(Take(start, stop - start, rendered, scene))
    return takes


def decode_windows(num_frames: int, window_latents: int, grid: VideoGrid) -> list[tuple[int, int]]:
    """Half-open frame ranges that tile [0, num_frames), each starting at a latent's first frame."""
    starts = []
    latent_idx = 0
    while (start := grid.first_frame(latent_idx)) < num_frames:
        starts.append(start)
        latent_idx += window_latents
    return list(pairwise([*starts, num_frames]))


def _scene_bounds(scenes: tuple[Scene, ...], frame_rate: Fraction) -> list[int]:
    """Frame indices where scenes begin and end, rounded from the cumulative exact time so that nothing drifts."""
    bounds, end_s = [0], Fraction(0)
    for scene_idx, scene in enumerate(scenes):
        length_s = scene.seconds if scene.seconds is not None else Fraction(scene.num_frames or 0) / frame_rate
        end_s += length_s
        bounds.append(round_half_up(end_s * frame_rate))
        if bounds[-1] <= bounds[-2]:
            raise PlanError(f"scenes[{scene_idx}]: {float(length_s):g} s is less than one frame at this frame rate")
    return bounds


def _check_length(
    num_frames: int, num_rendered: int, segment: Segment, *, frame_rate: Fraction, facts: ModelFacts
) -> None:
    limit = segment.frames or facts.max_frames
    seconds = num_frames / frame_rate
    if seconds > facts.max_seconds:
        raise PlanError(
            f"seconds: {float(seconds):g} s in one take is more than the {facts.max_seconds} s {facts.name} attends "
            "to, and this version does not chain segments; shorten it, or split it into scenes with `cut: true`"
        )
    if num_rendered > limit:
        longest_s = min(Fraction(facts.max_seconds), limit / frame_rate)
        raise PlanError(
            f"seconds: a take of {num_frames} frames ({float(seconds):g} s) is more than one segment of {limit}, and "
            f"this version does not chain segments; at most {float(longest_s):.4g} s fit, "
            f"or set `segment.frames={num_rendered}`"
        )
