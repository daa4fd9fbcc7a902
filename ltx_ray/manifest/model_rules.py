"""Rules of numbers that a model decides: each function says what is wrong, or None.

Answers that take longer than their question are kept, because ten thousand videos ask the same few.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

from ltx_ray.errors import PlanError
from ltx_ray.manifest.keys import MAX_SIZE_PX
from ltx_ray.manifest.schema import Segment
from ltx_ray.spec.grid import VideoGrid
from ltx_ray.spec.model import ModelFacts


def size_problem(facts: ModelFacts, size_px: int) -> str | None:
    """What is wrong with a width or height."""
    step, least = facts.video.size_multiple_px, facts.min_size_px
    if size_px < least:
        return f"{size_px} is less than {least}, the smallest {facts.name} renders"
    if size_px % step == 0:
        return None
    below = size_px // step * step
    valid = [px for px in (below, below + step) if least <= px <= MAX_SIZE_PX]
    nearest = f"nearest are {valid[0]} and {valid[1]}" if len(valid) == 2 else f"nearest is {valid[0]}"
    return f"{size_px} is not a multiple of {step}; {nearest}"


@lru_cache(maxsize=1024)
def num_frames_problem(grid: VideoGrid, num_frames: int) -> str | None:
    """What is wrong with a frame count, in the words of the grid."""
    try:
        grid.check_num_frames(num_frames, where="")
    except PlanError as error:
        return str(error).removeprefix(": ")
    return None


@lru_cache(maxsize=1024)
def seconds_problem(seconds: Fraction, frame_rate: Fraction) -> str | None:
    """What is wrong with a duration at a rate."""
    if seconds * frame_rate >= 1:
        return None
    return f"{float(seconds):g} is less than one frame; at this rate a frame takes {float(1 / frame_rate):.3g} seconds"


@lru_cache(maxsize=256)
def segment_problems(grid: VideoGrid, segment: Segment) -> tuple[tuple[str, str], ...]:
    """Keys of what is wrong with a segment's frames by themselves, and what it is."""
    found = []
    step = grid.frames_per_latent
    if segment.frames is not None and (what := num_frames_problem(grid, segment.frames)):
        found.append(("segment.frames", what))
    if what := num_frames_problem(grid, segment.connector):
        found.append(("segment.connector", what))
    if segment.overshoot % step:
        below = segment.overshoot // step * step
        what = f"{segment.overshoot} is not a multiple of {step}; nearest are {below} and {below + step}"
        found.append(("segment.overshoot", what))
    if not found and segment.frames is not None and segment.frames - segment.connector - segment.overshoot < step:
        what = (
            f"{segment.frames} leaves nothing new after connector {segment.connector} and overshoot {segment.overshoot}"
        )
        found.append(("segment.frames", f"{what}; at least {segment.connector + segment.overshoot + step} are needed"))
    return tuple(found)


@lru_cache(maxsize=1024)
def call_problem(step: int, max_seconds: int, num_frames: int, frame_rate: Fraction) -> str | None:
    """What is wrong with so many frames in one call to a model that attends to ``max_seconds``."""
    longest = max(1, math.floor(max_seconds * frame_rate / step)) * step + 1
    if num_frames <= longest:
        return None
    seconds = f"{float(num_frames / frame_rate):.4g} s in one call, more than the {max_seconds} s that fit"
    return f"{num_frames} frames are {seconds}; at this rate the most is {longest}"
