"""Images of a video: the frame that shows each, the segment that makes this frame, and what that is given.

An image at frame 0 of a take is held in place; any other one is a key frame, whose tokens are appended. Each stage is
given the image at its own size, encoded anew. A segment is given the images of the frames that it shows, and none of
those that it only passes through: a later segment knows an opening image by its connector.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ltx_ray.errors import ManifestError, Problem
from ltx_ray.manifest.schema import Image, Moment, Video
from ltx_ray.plan.conditions import Planned, Provided, SegmentStage
from ltx_ray.plan.segments import Take
from ltx_ray.spec.conditions import Hold, Keyframe
from ltx_ray.spec.grid import round_half_up
from ltx_ray.spec.piece import Piece
from ltx_ray.spec.recipe import IngestRecipe, Still, StillRecipe
from ltx_ray.spec.source import StillFacts
from ltx_ray.spec.task import Parent
from ltx_ray.spec.weights import Part

#: That an image is encoded with.
_PARTS: tuple[Part, ...] = ("video_vae",)


class Scope(NamedTuple):
    """Frames [start, stop) of what is made of a video, in which moments are counted."""

    start: int
    stop: int
    name: str  #: what it is called


@dataclass(frozen=True, slots=True)
class PlacedImage:
    """An image at a frame of what is made of a video."""

    image: Image
    place: str  #: of its entry in the manifest
    frame: int

    @property
    def is_next(self) -> bool:
        """Whether it is at the first frame of the next take, which this one reaches and does not show."""
        return self.image.at == "next"

    def is_held_in(self, takes: Sequence[Take]) -> bool:
        """Whether it takes the place of its frame; else it guides it."""
        return not self.is_next and any(self.frame == take.start and not take.lead for take in takes)


@dataclass(frozen=True, slots=True)
class ImagesOfTake:
    """A provider: what the segments of one take are given of the video's images."""

    images: tuple[PlacedImage, ...]
    facts: Mapping[str, StillFacts]  #: by path

    def __call__(self, planned: Planned, segment_idx: int, stage: SegmentStage) -> Iterator[Provided]:
        take = planned.take
        for placed in self.images:
            frame = take.lead + placed.frame - take.start
            if placed.image.strength and shown_by(take, frame) == segment_idx:
                yield self._given(planned, placed, frame - take.segments[segment_idx].start, stage)

    def _given(self, planned: Planned, placed: PlacedImage, frame: int, stage: SegmentStage) -> Provided:
        """The image at a frame of its segment."""
        strength, piece = placed.image.strength, Piece(0, 1)
        key = self._encoded(planned, placed, stage)
        if frame == 0:
            return Provided(Hold(modality="video", piece=piece, start=0, strength=strength), key)
        return Provided(Keyframe(modality="video", piece=piece, start=frame, strength=strength), key)

    def _encoded(self, planned: Planned, placed: PlacedImage, stage: SegmentStage) -> str:
        """Key of the image's latent at the size of a stage."""
        image, plan = placed.image, planned.plan_
        width, height = planned.size_px(stage)
        unit = f"{planned.video.id}/{placed.place}"
        file = plan.add("ingest", unit, IngestRecipe(sha256=self.facts[image.path].sha256))
        plan.files[file] = image.path
        recipe = StillRecipe(
            weights=planned.facts.weights_for("condition", parts=_PARTS),
            still=Still(width_px=width, height_px=height, fit=image.fit, background=image.background, crf=image.crf),
        )
        size = "full" if planned.is_final(stage) else "half"
        return plan.add("condition", f"{unit}/{size}", recipe, (Parent("file", file),), file=image.path)


def place_images(video: Video, takes: Sequence[Take]) -> list[PlacedImage]:
    """Every image of a video at its frame, in the order of frames.

    Raises:
        ManifestError: all images that are outside, or at a frame that has one.
    """
    if not video.all_images:
        return []
    whole = Scope(0, takes[-1].start + takes[-1].num_frames, "the video")
    named = [(f"images[{idx}]", image, whole) for idx, image in enumerate(video.images)]
    scopes = scene_scopes(takes)
    for scene_idx, scene in enumerate(video.scenes):
        scope = scopes.get(scene_idx, Scope(0, 0, f"scenes[{scene_idx}]"))
        named += [(f"scenes[{scene_idx}].images[{idx}]", image, scope) for idx, image in enumerate(scene.images)]
    problems: list[Problem] = []
    found: dict[int, PlacedImage] = {}
    reached: list[PlacedImage] = []
    for place, image, scope in named:
        frame = frame_at(image.at, scope, video)
        if image.at == "next":
            reached.append(PlacedImage(image, place, frame))
        elif not scope.start <= frame < scope.stop:
            problems.append(Problem(f"{place}.at", outside(frame - scope.start, scope)))
        elif frame in found:
            what = f"frame {frame - scope.start} has {found[frame].place} already; give each image a frame of its own"
            problems.append(Problem(f"{place}.at", what))
        else:
            found[frame] = PlacedImage(image, place, frame)
    if problems:
        raise ManifestError(tuple(problems))
    return sorted([*found.values(), *reached], key=lambda placed: placed.frame)


def images_of_take(placed: Sequence[PlacedImage], take: Take, facts: Mapping[str, StillFacts]) -> ImagesOfTake:
    stop = take.start + take.num_frames
    shown = (each for each in placed if take.start <= each.frame - each.is_next < stop)
    return ImagesOfTake(tuple(shown), facts)


def scene_scopes(takes: Sequence[Take]) -> dict[int, Scope]:
    """The frames that each scene shows: where scenes meet inside a take, from where the segments meet."""
    scopes: dict[int, Scope] = {}
    for take in takes:
        shown = 0
        for segment in take.segments:
            stop = min(take.num_frames, segment.kept_stop - take.lead)
            known = scopes.get(segment.scene_idx)
            start = take.start + shown if known is None else known.start
            scopes[segment.scene_idx] = Scope(start, take.start + stop, f"scenes[{segment.scene_idx}]")
            shown = stop
    return scopes


def frame_at(at: Moment, scope: Scope, video: Video) -> int:
    """The frame of a moment; it may lie outside of ``scope``."""
    match at:
        case "first":
            return scope.start
        case "last":
            return scope.stop - 1
        case "next":
            return scope.stop
        case int():
            return scope.start + at
        case _:
            return scope.start + round_half_up(at * video.frame_rate)


def outside(frame: int, scope: Scope) -> str:
    """Half a sentence about a frame that is not in ``scope``."""
    last = scope.stop - scope.start - 1
    return f"frame {frame} is outside of {scope.name}, which has frames 0 to {last}; nearest is {last}"


def shown_by(take: Take, frame: int) -> int:
    """The segment that shows a frame of the take's timeline."""
    found = (idx for idx, segment in enumerate(take.segments) if frame < segment.kept_stop)
    return next(found, len(take.segments) - 1)
