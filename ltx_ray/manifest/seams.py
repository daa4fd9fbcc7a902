"""Where segments meet: how long each is, what it shares with the one before, and how the two are put together.

Every rule that holds for a video holds for a scene with a ``segment`` of its own; a problem that both have is the
video's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from ltx_ray.manifest.merge import Merged
from ltx_ray.manifest.model_rules import call_problem, segment_problems
from ltx_ray.manifest.problems import BAD
from ltx_ray.manifest.schema import Scene, Segment
from ltx_ray.spec.grid import VideoGrid

#: From this rate on, a connector shorter than this carries too little sound to go on from.
FAST_RATE, FAST_CONNECTOR = 50, 17

Found = tuple[tuple[str, str], ...]  #: keys, and what is wrong with each


def segment_of(values: Mapping[str, Any]) -> Segment:
    """What ``values`` say of segments; one object for all that are equal."""
    return _shared(
        values["segment.frames"],
        values["segment.connector"],
        values["segment.overshoot"],
        values["segment.strength"],
    )


@lru_cache(maxsize=256)
def _shared(frames: int | None, connector: int, overshoot: int, strength: float) -> Segment:
    return Segment(frames=frames, connector=connector, overshoot=overshoot, strength=strength)


def check_segment(merged: Merged, segment: Segment) -> None:
    """Note what is wrong with the segments of a video, whether a scene has them or not."""
    for key, what in _of_segment(merged, segment):
        merged.report(key, what)
    _note_short_connector(merged, segment, "")


def check_scene(merged: Merged, segment: Segment, prefix: str, *, of_video: Segment) -> None:
    """Note what is wrong with the segments of a scene that has its own, and not with those of its video."""
    known = (*_of_segment(merged, of_video), *_of_seams(merged, of_video))
    for key, what in (*_of_segment(merged, segment), *_of_seams(merged, segment)):
        if (key, what) not in known:
            merged.report(f"{prefix}{key}", what)
    _note_short_connector(merged, segment, prefix)


def check_seams(
    merged: Merged, segment: Segment, scenes: Sequence[Scene], *, is_draft: bool, is_extended: bool
) -> None:
    """Note what contradicts itself in how a video's segments are chained and joined; ``segment`` is the video's own."""
    values = merged.values
    chain, join, crossfade, order = values["chain"], values["join"], values["crossfade"], values["refine.order"]
    if join == "latent" and crossfade is not BAD and crossfade > 0:
        merged.report("crossfade", f"{crossfade} frames are blended only with join: pixels; set it, or crossfade 0")
    if order == "alternate" and is_draft:
        merged.report("refine.order", "alternate is an order of stage 2, and a draft has none; take chain")
    elif order == "alternate" and chain == "final":
        what = "alternate waits for the next segment, which chain: final makes later; take chain: stagewise"
        merged.report("refine.order", what)
    if chain == "final" and is_draft:
        merged.report("chain", "final goes on from what stage 2 made, and a draft has none; take stagewise")
    if is_extended and scenes and (strength := scenes[0].segment.strength) is not BAD and strength < 1 and crossfade:
        prefix = "" if scenes[0].segment is segment else "scenes[0]."
        what = "lets the end of the file differ from what goes on from it, and no crossfade is there to hide it; take 1"
        merged.report(f"{prefix}segment.strength", f"{strength:g} {what}")
    for key, what in _of_seams(merged, segment):
        if any(scene.segment is segment for scene in scenes):
            merged.report(key, what)


def _of_segment(merged: Merged, segment: Segment) -> Found:
    """By itself, for the model, and at this frame rate."""
    if BAD in (segment.frames, segment.connector, segment.overshoot):
        return ()
    facts, rate = merged.facts, merged.values["frame_rate"]
    found = segment_problems(facts.video, segment)
    if found or segment.frames is None or rate is BAD:
        return found
    what = call_problem(facts.video.frames_per_latent, facts.max_seconds, segment.frames, rate)
    return () if what is None else (("segment.frames", what),)


def _of_seams(merged: Merged, segment: Segment) -> Found:
    """With the ways in which a video's segments are put together."""
    values = merged.values
    join, crossfade, order = values["join"], values["crossfade"], values["refine.order"]
    if (segment.strength == 1.0 and crossfade == 0 and order == "chain") or BAD in (
        segment.connector, segment.strength, join, crossfade, order,
    ):  # fmt: skip
        return ()
    return _seam_problems(merged.facts.video, segment, join, crossfade, order)


@lru_cache(maxsize=256)
def _seam_problems(grid: VideoGrid, segment: Segment, join: str, crossfade: int, order: str) -> Found:
    found = []
    if segment.strength < 1 and (join != "pixels" or not crossfade):
        what = "lets frames under a seam differ, which needs join: pixels and a crossfade; set both, or take 1"
        found.append(("segment.strength", f"{segment.strength:g} {what}"))
    if crossfade > segment.connector:
        what = f"{segment.connector} is less than the crossfade, {crossfade} frames"
        found.append(("segment.connector", f"{what}; at least {grid.round_up(crossfade)}, or a shorter crossfade"))
    least = grid.num_frames(3)
    if order == "alternate" and segment.connector < least:
        what = f"{segment.connector} is too short for refine.order alternate, which holds a connector at both ends"
        found.append(("segment.connector", f"{what}; at least {least}"))
    return tuple(found)


def _note_short_connector(merged: Merged, segment: Segment, prefix: str) -> None:
    rate = merged.values["frame_rate"]
    connector = segment.connector
    if connector is BAD or connector >= FAST_CONNECTOR or rate is BAD or rate < FAST_RATE:
        return
    what = f"{connector} frames hold little sound to go on from at {FAST_RATE} frames a second and over"
    merged.note(f"{prefix}segment.connector", f"{what}; {FAST_CONNECTOR} or more are better")
