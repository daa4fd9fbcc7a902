"""A film that guides stage 1 frame by frame: for every segment its slice, as tokens that leave before stage 2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ltx_ray.errors import PlanError
from ltx_ray.manifest.schema import Control, Video
from ltx_ray.plan.conditions import Planned, Provided, SegmentStage
from ltx_ray.plan.films import film_latents
from ltx_ray.plan.notes import Note
from ltx_ray.plan.segments import Take
from ltx_ray.spec.conditions import Reference
from ltx_ray.spec.piece import Piece
from ltx_ray.spec.source import SourceFacts

#: A shape that differs by more is cut visibly.
_ASPECT_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True)
class ControlOfTake:
    """A provider: what the segments of a take are guided by."""

    control: Control
    source: SourceFacts

    def __call__(self, planned: Planned, segment_idx: int, stage: SegmentStage) -> Iterator[Provided]:
        if stage == "refine" or not self.control.strength:
            return
        control, segment = self.control, planned.take.segments[segment_idx]
        key = film_latents(
            planned,
            segment_idx,
            stage,
            control.path,
            self.source,
            downscale=control.downscale,
            edges="canny" if control.kind == "canny" else "",
            name="control",
        )
        piece = Piece(0, planned.facts.video.num_latents(segment.num_frames))
        reference = Reference(modality="video", piece=piece, downscale=control.downscale, strength=control.strength)
        yield Provided(reference, key)


def check_control(video: Video, takes: Sequence[Take], source: SourceFacts) -> Iterator[Note]:
    """Notes of what does not fit but can be used.

    Raises:
        PlanError: the control ends before the video.
    """
    assert video.control is not None
    path, there = video.control.path, source.num_frames(video.frame_rate)
    needed = takes[-1].start + takes[-1].num_frames
    if there < needed:
        raise PlanError(
            f"control.path: {path} has {there} frames at this rate, and the video has {needed}; make the video at most "
            f"{there} frames long, or give a longer control"
        )
    if there > needed:
        many = "controls are longer than their video; their ends are not read"
        yield Note(f"the control has {there} frames at this rate; those after {needed} are not read", video.id, many)
    shapes = source.width_px * video.height / (source.height_px * video.width)
    if abs(shapes - 1) > _ASPECT_TOLERANCE:
        what = f"the control of {source.width_px}x{source.height_px} is scaled to cover {video.width}x{video.height}"
        yield Note(f"{what}, and cut around its centre", video.id, "controls are cut to the shape of their video")
