"""Segments that are made anew between neighbours that stay.

The segment that is replaced stays in the plan: what follows was made from it, so that keeps its key. The new one begins
with the connector from the segment before, as every segment does, and ends held at what it hands over: the latents of
the old one that lie under the next connector, each at the same place in the same phase, and the cells. So the next
segment goes on from frames that are still there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ltx_ray.errors import ManifestError, PlanError, Problem
from ltx_ray.manifest.schema import Redo, Video
from ltx_ray.plan.conditions import Planned, Provided, SegmentStage
from ltx_ray.plan.images import shown_by
from ltx_ray.plan.segments import Take
from ltx_ray.spec.conditions import Hold
from ltx_ray.spec.grid import round_half_up
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.piece import Piece


class PlacedRedo(NamedTuple):
    """A segment of a take that is made anew."""

    redo: Redo
    place: str  #: of its entry in the manifest
    take_idx: int
    segment_idx: int


def place_redos(video: Video, takes: Sequence[Take], facts: ModelFacts) -> list[PlacedRedo]:
    """Where each one is, in the order of the manifest; of two for one segment the last.

    Raises:
        ManifestError: all that name no segment, or one whose connectors leave nothing free.
    """
    found: dict[tuple[int, int], PlacedRedo] = {}
    problems = []
    for idx, redo in enumerate(video.redo):
        place = f"redo[{idx}]"
        try:
            take_idx, segment_idx = (
                _segment_at(redo, video, takes) if redo.segment is None else _nth(redo, video, takes)
            )
            _check_free(takes[take_idx], segment_idx, facts)
        except PlanError as error:
            key, _, what = str(error).partition(": ")
            problems.append(Problem(f"{place}.{key}", what))
            continue
        found.pop((take_idx, segment_idx), None)
        found[take_idx, segment_idx] = PlacedRedo(redo, place, take_idx, segment_idx)
    if problems:
        raise ManifestError(tuple(problems))
    return list(found.values())


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


def _segment_at(redo: Redo, video: Video, takes: Sequence[Take]) -> tuple[int, int]:
    """The segment that shows a time."""
    assert redo.at is not None
    frame = round_half_up(redo.at * video.frame_rate)
    for take_idx, take in enumerate(takes):
        if take.start <= frame < take.start + take.num_frames:
            return take_idx, shown_by(take, take.lead + frame - take.start)
    length_s = (takes[-1].start + takes[-1].num_frames) / video.frame_rate
    raise PlanError(f"at: {float(redo.at):g} s is outside of the video, which is {float(length_s):g} s long")


def _first_under_connector(take: Take, segment_idx: int, facts: ModelFacts) -> int:
    """The segment's first latent that holds a frame of the next connector."""
    segment, after = take.segments[segment_idx : segment_idx + 2]
    return facts.video.latent_of(after.start - segment.start)


def _check_free(take: Take, segment_idx: int, facts: ModelFacts) -> None:
    segment = take.segments[segment_idx]
    if segment_idx + 1 == len(take.segments):
        return
    head = facts.video.num_latents(segment.connector) if segment.connector else 0
    if _first_under_connector(take, segment_idx, facts) <= head:
        after = take.segments[segment_idx + 1]
        raise PlanError(
            f"segment: between the connectors of {segment.connector} and {after.connector} frames nothing of its "
            f"{segment.num_frames} frames is free; make segment.frames larger, or the connectors smaller"
        )
