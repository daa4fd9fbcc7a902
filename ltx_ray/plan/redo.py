"""Segments that are made anew between neighbours that stay.

The segment that is replaced stays in the plan: what follows was made from it, so that keeps its key. The new one begins
with the connector from the segment before, as every segment does, and ends held at what it hands over: the latents of
the old one that lie under the next connector, each at the same place in the same phase, and the cells. So the next
segment goes on from frames that are still there.

Why the old latents, and not the connector that was made of them: the connector was decoded and encoded again, its first
latent is of one frame where the old segment has one of eight, and it is not what is shown up to the seam. Each stage
holds those of its own: stage 1 what stage 1 made, stage 2 what stage 2 made.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

from ltx_ray.errors import ManifestError, PlanError, Problem
from ltx_ray.manifest.schema import Redo, Video
from ltx_ray.plan.conditions import Planned, Provided, SegmentStage
from ltx_ray.plan.images import shown_by
from ltx_ray.plan.segments import Take
from ltx_ray.spec.conditions import Hold
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.piece import Piece


class PlacedRedo(NamedTuple):
    """A segment of a take that is made anew."""

    redo: Redo  #: as it is counted: by scene and segment, with a seed
    take_idx: int
    segment_idx: int


def place_redos(video: Video, takes: Sequence[Take], facts: ModelFacts, *, shown_before: int) -> list[PlacedRedo]:
    """Where each one is, in the order of the manifest; of two for one segment the last.

    Args:
        shown_before: frames of the file before the first take.

    Raises:
        ManifestError: all that name no segment, or one whose connectors leave nothing free.
    """
    found: dict[tuple[int, int], PlacedRedo] = {}
    problems = []
    for idx, redo in enumerate(video.redo):
        by = "at" if redo.segment is None else "segment"
        try:
            take_idx, segment_idx = (
                _segment_at(redo, video, takes, shown_before) if by == "at" else _nth(redo, video, takes)
            )
            _check_free(by, takes[take_idx], segment_idx, facts)
        except PlanError as error:
            key, _, what = str(error).partition(": ")
            problems.append(Problem(f"redo[{idx}].{key}", what))
            continue
        found.pop((take_idx, segment_idx), None)
        found[take_idx, segment_idx] = PlacedRedo(
            _counted(redo, video, takes, take_idx, segment_idx), take_idx, segment_idx
        )
    if problems:
        raise ManifestError(tuple(problems))
    return list(found.values())


def redo_words(redo: Redo) -> dict[str, int | str | None]:
    """What a file says of a segment that was made anew: which one it is, and what it was told in place of its scene."""
    says: dict[str, int | str | None] = {"scene": redo.scene, "segment": redo.segment, "seed": redo.seed}
    return says if redo.prompt is None else {**says, "prompt": redo.prompt}


def held_at_tail(planned: Planned, segment_idx: int, stage: SegmentStage, replaced: str) -> Iterator[Provided]:
    """What the segment after goes on from, out of the artifact that is ``replaced``."""
    take, grid = planned.take, planned.facts.video
    if segment_idx + 1 == len(take.segments):
        return
    segment, after = take.segments[segment_idx : segment_idx + 2]
    latents = Piece(
        _first_under_connector(take, segment_idx, planned.facts), grid.num_latents(segment.kept_stop - segment.start)
    )
    yield Provided(Hold(modality="video", piece=latents, start=latents.start), replaced)
    if not planned.is_driven(segment_idx):
        cells = Piece(after.cells.start - segment.cells.start, segment.own_cells.stop - segment.cells.start)
        yield Provided(Hold(modality="audio", piece=cells, start=cells.start), replaced)


def _nth(redo: Redo, video: Video, takes: Sequence[Take]) -> tuple[int, int]:
    """Of the segments that show a scene."""
    if redo.scene >= len(video.scenes):
        last = len(video.scenes) - 1
        raise PlanError(f"scene: there is no scene {redo.scene}; the last one is {last}")
    places = [
        (take_idx, segment_idx)
        for take_idx, take in enumerate(takes)
        for segment_idx, segment in enumerate(take.segments)
        if segment.scene_idx == redo.scene
    ]
    assert redo.segment is not None
    if redo.segment >= len(places):
        has = "one segment, 0" if len(places) == 1 else f"segments 0 to {len(places) - 1}"
        raise PlanError(f"segment: {redo.segment} is not in scenes[{redo.scene}], which has {has}")
    return places[redo.segment]


def _segment_at(redo: Redo, video: Video, takes: Sequence[Take], shown_before: int) -> tuple[int, int]:
    """The segment that shows a time of the file: the one of the frame that a player shows then."""
    assert redo.at is not None
    rate = video.frame_rate
    frame, num_frames = math.floor(redo.at * rate) - shown_before, takes[-1].start + takes[-1].num_frames
    if frame < 0:
        first = _upwards(shown_before / rate)
        raise PlanError(
            f"at: {float(redo.at):g} s is in the file that the video goes on from, which stays; nearest is {first:g}"
        )
    for take_idx, take in enumerate(takes):
        if frame < take.start + take.num_frames:
            return take_idx, shown_by(take, take.lead + frame - take.start)
    length_s, last = (shown_before + num_frames) / rate, _upwards((shown_before + num_frames - 1) / rate)
    raise PlanError(
        f"at: {float(redo.at):g} s is outside of the video, which is {float(length_s):g} s long; nearest is {last:g}"
    )


def _upwards(time_s: Fraction) -> float:
    """The first thousandth of a second from a frame's time on, which shows that frame: none is that short."""
    return math.ceil(time_s * 1000) / 1000


def _counted(redo: Redo, video: Video, takes: Sequence[Take], take_idx: int, segment_idx: int) -> Redo:
    """The same however it was written, so that it says the same in the file."""
    take = takes[take_idx]
    scene_idx = take.segments[segment_idx].scene_idx
    first = next(idx for idx, segment in enumerate(take.segments) if segment.scene_idx == scene_idx)
    seed = video.scenes[scene_idx].seed if redo.seed is None else redo.seed
    return replace(redo, scene=scene_idx, segment=segment_idx - first, at=None, seed=seed)


def _first_under_connector(take: Take, segment_idx: int, facts: ModelFacts) -> int:
    """The segment's first latent that holds a frame of the next connector."""
    segment, after = take.segments[segment_idx : segment_idx + 2]
    return facts.video.latent_of(after.start - segment.start)


def _check_free(by: str, take: Take, segment_idx: int, facts: ModelFacts) -> None:
    """Raise PlanError, of the key ``by``, if both neighbours between them hold all that a segment keeps."""
    segment = take.segments[segment_idx]
    if segment_idx + 1 == len(take.segments):
        return
    head = facts.video.num_latents(segment.connector) if segment.connector else 0
    first = _first_under_connector(take, segment_idx, facts)
    if first <= head:
        after = take.segments[segment_idx + 1]
        least = segment.num_frames + (head + 1 - first) * facts.video.frames_per_latent
        raise PlanError(
            f"{by}: between the connectors of {segment.connector} and {after.connector} frames nothing of its "
            f"{segment.num_frames} frames is free; it needs at least {least}: make segment.frames larger, or the "
            "connectors smaller"
        )
