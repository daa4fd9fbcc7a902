"""From scenes to takes and segments: exact arithmetic, nothing else.

A take is a stretch between cuts: one latent timeline, one grid of audio cells, one chain of segments. Its frames count
from its start. A segment is one model call over 8n+1 of them; every later one begins with the connector, the last
frames that the one before keeps, and may end in an overshoot, which is thrown away. So

    joined latents   of segment 0 all but the overshoot, of each later one all between connector and overshoot
    own cells        those between what the segment before hands over and what this one does

tile the take without gap or overlap. A take's end is exact: it is rendered to the next valid count and trimmed when
frames leave the decoder. A scene's end inside a take moves to the nearest place where segments can meet.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import NamedTuple

from ltx_ray.errors import PlanError
from ltx_ray.manifest.schema import Scene, Video
from ltx_ray.plan.notes import Note
from ltx_ray.spec.grid import VideoGrid, round_half_up
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.piece import Piece

#: Frames of a segment where none are given and one call cannot hold the take.
DEFAULT_FRAMES = 121


@dataclass(frozen=True, slots=True)
class Segment:
    """One model call over frames [start, start + num_frames) of a take."""

    scene_idx: int  #: in its video
    start: int  #: a multiple of the frames of a latent
    start_s: Fraction
    num_frames: int  #: with connector and overshoot
    connector: int  #: 0 = nothing stands before
    overshoot: int
    cells: Piece  #: of the take's grid, that are generated here
    own_cells: Piece  #: those of them that are this segment's in the joined sound

    @property
    def kept_stop(self) -> int:
        """The take's frame where what is kept of this segment ends."""
        return self.start + self.num_frames - self.overshoot


@dataclass(frozen=True, slots=True)
class Take:
    """Frames [start, start + num_frames) of what is made of a video; ``lead`` frames of the timeline come before them.

    A lead is the connector from a given file: known, and not shown again.
    """

    start: int
    num_frames: int
    lead: int
    segments: tuple[Segment, ...]

    @property
    def num_rendered(self) -> int:
        """Frames of the joined timeline, the lead and what is trimmed at the end included."""
        return self.segments[-1].kept_stop


class _Stretch(NamedTuple):
    """Latents [start, stop) of a take that one scene makes."""

    scene_idx: int
    scene: Scene
    start: int
    stop: int


def cut_takes(video: Video, facts: ModelFacts) -> tuple[list[Take], list[Note]]:
    """The takes of a video in order, and notes of what was moved.

    Raises:
        PlanError: a scene is too short, or what its segments are to be does not fit together or the model.
    """
    bounds = _scene_bounds(video.scenes, video.frame_rate)
    takes: list[Take] = []
    notes: list[Note] = []
    for first, stop in pairwise([*_first_scenes(video.scenes), len(video.scenes)]):
        lead = video.scenes[0].segment.connector if video.extend is not None and first == 0 else 0
        stretches, moved = _stretches(video.scenes[first:stop], first, lead, video.frame_rate, facts.video)
        notes += moved
        num_frames = bounds[stop] - bounds[first]
        takes.append(Take(bounds[first], num_frames, lead, _cut_take(stretches, lead, num_frames, video, facts)))
    return takes, notes


def joined_latents(take: Take, segment_idx: int, grid: VideoGrid) -> Piece:
    """Latents of the take's joined timeline that a segment gives."""
    segment = take.segments[segment_idx]
    first = 0 if segment_idx == 0 else grid.num_latents(segment.connector)
    return Piece(segment.start // grid.frames_per_latent + first, grid.num_latents(segment.kept_stop))


def pieces_of(take: Take, start: int, stop: int, grid: VideoGrid) -> Iterator[tuple[int, Piece]]:
    """Which segments give latents [start, stop) of the joined timeline: each with its own latents, in order."""
    earliest = bisect_right(take.segments, start, key=lambda segment: grid.num_latents(segment.kept_stop))
    for segment_idx in range(earliest, len(take.segments)):
        joined = joined_latents(take, segment_idx, grid)
        first, last = max(start, joined.start), min(stop, joined.stop)
        if first >= last:
            return
        offset = take.segments[segment_idx].start // grid.frames_per_latent
        yield segment_idx, Piece(first - offset, last - offset)


def decode_windows(start: int, stop: int, window_latents: int, grid: VideoGrid) -> list[tuple[int, int]]:
    """Half-open frame ranges that tile [start, stop), each beginning at a latent's first frame, as ``start`` does."""
    starts = []
    latent_idx = grid.latent_of(start)
    while (first := grid.first_frame(latent_idx)) < stop:
        starts.append(first)
        latent_idx += window_latents
    return list(pairwise([*starts, stop]))


def _first_scenes(scenes: Sequence[Scene]) -> list[int]:
    """Indices of the scenes that begin a take."""
    return [scene_idx for scene_idx, scene in enumerate(scenes) if scene_idx == 0 or scene.cut]


def _length_s(scene: Scene, frame_rate: Fraction) -> Fraction:
    return scene.seconds if scene.seconds is not None else Fraction(scene.num_frames or 0) / frame_rate


def _scene_bounds(scenes: tuple[Scene, ...], frame_rate: Fraction) -> list[int]:
    """Frame indices where scenes begin and end, rounded from the cumulative exact time so that nothing drifts."""
    bounds, end_s = [0], Fraction(0)
    for scene_idx, scene in enumerate(scenes):
        length_s = _length_s(scene, frame_rate)
        end_s += length_s
        bounds.append(round_half_up(end_s * frame_rate))
        if bounds[-1] <= bounds[-2]:
            raise PlanError(f"scenes[{scene_idx}]: {float(length_s):g} s is less than one frame at this frame rate")
    return bounds


def _stretches(
    scenes: Sequence[Scene], first_idx: int, lead: int, frame_rate: Fraction, grid: VideoGrid
) -> tuple[list[_Stretch], list[Note]]:
    """A take's latents shared out among its scenes, of which the first has the index ``first_idx`` in its video.

    Times count from the take's start. Where that falls between two frames of the file, the take may be shown a frame
    longer or shorter; it is made long enough for both, so that an edit before it does not make it anew.
    """
    step = grid.frames_per_latent
    ends_s = list(accumulate(_length_s(scene, frame_rate) for scene in scenes))
    inner = [lead + round_half_up(end_s * frame_rate) for end_s in ends_s[:-1]]
    meet = [max(1, round_half_up(Fraction(frame - 1, step)) * step + 1) for frame in inner]
    why = f"because segments meet at multiples of {step}, plus 1"
    notes = [
        Note(
            f"scenes[{scene_idx}] ends at frame {moved - lead} of its take and not at {frame - lead}, {why}",
            many=f"scenes end up to {{most}} frame{{s}} earlier or later, {why}",
            amount=abs(moved - frame),
        )
        for scene_idx, (frame, moved) in enumerate(zip(inner, meet, strict=True), first_idx)
        if frame != moved
    ]
    ends = [
        grid.num_latents(frame)
        for frame in [*meet, grid.round_up(lead + _num_made(scenes[-1], ends_s[-1] * frame_rate))]
    ]
    starts = [grid.num_latents(lead) if lead else 0, *ends[:-1]]
    stretches = [
        _Stretch(scene_idx, scene, start, stop)
        for scene_idx, (scene, start, stop) in enumerate(zip(scenes, starts, ends, strict=True), first_idx)
    ]
    shown = [*ends[:-1], grid.num_latents(grid.round_up(lead + math.floor(ends_s[-1] * frame_rate)))]
    for order, (stretch, stop) in enumerate(zip(stretches, shown, strict=True)):
        least = 2 if order == 0 and not lead else 1
        if len(stretches) > 1 and stop - stretch.start < least:
            needed = step + 1 if least == 2 else step
            raise PlanError(
                f"scenes[{stretch.scene_idx}]: is shorter than the {needed} frames that a scene beside others in its "
                "take needs; lengthen it, or set `cut: true`"
            )
    return stretches, notes


def _num_made(last: Scene, num_frames: Fraction) -> int:
    """Frames of a take, and one more where it reaches the first of the next."""
    return math.ceil(num_frames) + (1 if last.reaches_next else 0)


def _cut_take(
    stretches: list[_Stretch], lead: int, num_frames: int, video: Video, facts: ModelFacts
) -> tuple[Segment, ...]:
    """The segments of a take, without gap or overlap in frames and cells."""
    step = facts.video.frames_per_latent
    segments: list[Segment] = []
    for order, stretch in enumerate(stretches):
        following = stretches[order + 1] if order + 1 < len(stretches) else None
        where = "segment" if len(video.scenes) == 1 else f"scenes[{stretch.scene_idx}].segment"
        shape = _Shape.of(stretch, video.frame_rate, facts, where=where, is_alone=len(stretches) == 1)
        has_head = bool(segments) or lead > 0
        first_latent = stretch.start
        for num_latents in _shares(stretch, shape, has_head=has_head, following=following, step=step):
            connector = shape.connector if segments or lead else 0
            if connector:
                shape.check_sound()
            start = 0 if not segments else (first_latent - 1) * step + 1 - connector
            stop = (first_latent + num_latents - 1) * step + 1
            segment = Segment(
                scene_idx=stretch.scene_idx,
                start=start,
                start_s=start / video.frame_rate,
                num_frames=stop - start + shape.overshoot,
                connector=connector,
                overshoot=shape.overshoot,
                cells=Piece(0, 0),
                own_cells=Piece(0, 0),
            )
            shape.check_call(segment.num_frames)
            segments.append(segment)
            first_latent += num_latents
    if len(segments) > 1 and segments[-2].kept_stop >= lead + num_frames:
        segments.pop()  # it would make nothing but the frame that rounding left out of the file
    return tuple(_with_cells(segments, lead, lead + num_frames, video.frame_rate, facts))


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the segments of one scene are to be, in frames. ``frames`` None = the whole take in one call."""

    where: str  #: it is said in the manifest
    frames: int | None
    connector: int
    overshoot: int
    frame_rate: Fraction
    facts: ModelFacts

    @classmethod
    def of(cls, stretch: _Stretch, frame_rate: Fraction, facts: ModelFacts, *, where: str, is_alone: bool) -> _Shape:
        segment, grid = stretch.scene.segment, facts.video
        longest = longest_call(frame_rate, facts)
        frames = segment.frames
        if frames is None:
            whole = grid.num_frames(stretch.stop) + segment.overshoot
            fits = is_alone and whole <= min(facts.max_frames, longest)
            frames = None if fits else min(DEFAULT_FRAMES, longest)
        return cls(where, frames, segment.connector, segment.overshoot, frame_rate, facts)

    def num_new_latents(self, *, has_head: bool) -> int:
        """Latents that a full segment adds to its take."""
        assert self.frames is not None
        step = self.facts.video.frames_per_latent
        known = self.connector if has_head else 0
        return (self.frames - self.overshoot - known) // step + (0 if has_head else 1)

    def check_call(self, num_frames: int) -> None:
        """Raise PlanError if a segment of so many frames is longer than the model attends to."""
        longest = longest_call(self.frame_rate, self.facts)
        if num_frames > longest:
            seconds = float(num_frames / self.frame_rate)
            raise PlanError(
                f"{self.where}.frames: {num_frames} frames are {seconds:.4g} s in one call, more "
                f"than the {self.facts.max_seconds} s {self.facts.name} attends to; at most {longest} fit"
            )

    def check_sound(self) -> None:
        """Raise PlanError if there may be no whole cell of sound under the connector, so that sound would begin anew.

        Wherever two cells would fit, one does.
        """
        audio = self.facts.audio
        least = math.ceil(2 * audio.slots_per_cell * audio.slot_s * self.frame_rate)
        if self.connector < least:
            raise PlanError(
                f"{self.where}.connector: {self.connector} frames are too short at this rate for sound to go on from; "
                f"at least {self.facts.video.round_up(least)} are needed"
            )

    def remedy(self, least: int) -> str:
        """What to do where segments of at least ``least`` frames are needed."""
        longest = longest_call(self.frame_rate, self.facts)
        if least <= longest:
            return f"at least {least} are needed, or a smaller connector"
        return (
            f"{least} are needed, and a call at this rate holds {longest}; take a smaller connector or a higher "
            "frame_rate"
        )


def longest_call(frame_rate: Fraction, facts: ModelFacts) -> int:
    """The most frames, on the grid, whose times the model attends to."""
    step = facts.video.frames_per_latent
    return max(1, math.floor(facts.max_seconds * frame_rate / step)) * step + 1


def _shares(stretch: _Stretch, shape: _Shape, *, has_head: bool, following: _Stretch | None, step: int) -> list[int]:
    """New latents of each segment of a scene: full ones first, the last two share the rest evenly.

    So a scene that grows re-makes only its end. Every segment that another follows keeps that one's connector; where
    two cannot see to that, more of the last ones share.
    """
    total = stretch.stop - stretch.start
    if shape.frames is None:
        return [total]
    first, later = shape.num_new_latents(has_head=has_head), shape.num_new_latents(has_head=True)
    if min(first, later) < 1:
        least = shape.connector + shape.overshoot + step
        raise PlanError(
            f"{shape.where}.frames: {shape.frames} leaves nothing new after connector {shape.connector} and overshoot "
            f"{shape.overshoot}; {shape.remedy(least)}"
        )
    num_segments = 1 + max(0, math.ceil((total - first) / later))
    most = [first, *[later] * (num_segments - 1)]
    least_kept = [shape.connector // step + 1] * (num_segments - 1)
    kept_for_next = 1 if following is None else following.scene.segment.connector // step + 1
    shares = _fitting(total, [*least_kept, kept_for_next], most)
    if shares is None:
        shares = _fitting(total, [*least_kept, 1], most)
        if shares is None:
            raise PlanError(_keeps_too_little(shape, step))
        assert following is not None
        is_first = num_segments == 1 and not has_head
        num_kept = shares[-1] * step + (1 - step if is_first else 0)
        largest_connector = (shares[-1] - 1) * step + 1
        remedy = f"set it to at most {largest_connector}, or " if largest_connector > step else ""
        if kept_for_next > most[-1]:
            remedy += f"scenes[{stretch.scene_idx}].segment.frames to more than {shape.frames}"
        else:
            remedy += f"lengthen scenes[{stretch.scene_idx}]"
        raise PlanError(
            f"scenes[{following.scene_idx}].segment.connector: {following.scene.segment.connector} is more than the "
            f"{num_kept} frames that the segment before it keeps; {remedy}"
        )
    return shares


def _fitting(total: int, least: list[int], most: list[int]) -> list[int] | None:
    """``total`` in as many parts as there are bounds: the most for all but the last few, which share evenly."""
    for num_sharing in range(min(2, len(most)), len(most) + 1):
        num_full = len(most) - num_sharing
        full, lows, highs = most[:num_full], least[num_full:], most[num_full:]
        rest = total - sum(full)
        if sum(lows) <= rest <= sum(highs) and all(low <= part for low, part in zip(least, full, strict=False)):
            parts = list(lows)
            while sum(parts) < rest:
                smallest = min(range(num_sharing), key=lambda idx: (parts[idx] >= highs[idx], parts[idx]))
                parts[smallest] += 1
            return [*full, *parts] if all(map(int.__le__, parts, highs)) else None
    return None


def _keeps_too_little(shape: _Shape, step: int) -> str:
    least = 2 * shape.connector + shape.overshoot + step - 1
    return (
        f"{shape.where}.frames: segments of {shape.frames} keep fewer new frames than the connector of "
        f"{shape.connector} that the next one takes from them; {shape.remedy(least)}"
    )


def _with_cells(
    segments: list[Segment], lead: int, stop: int, frame_rate: Fraction, facts: ModelFacts
) -> Iterator[Segment]:
    """The segments with their audio cells; the take's sound goes to frame ``stop``."""
    audio = facts.audio
    handed_over = audio.cells_ended_by(lead / frame_rate) if lead else 0
    for segment_idx, segment in enumerate(segments):
        first = audio.first_cell_from(segment.start_s)
        if segment_idx + 1 < len(segments):
            # Cells are never made by nobody, however short the connector is.
            next_first = audio.first_cell_from(segments[segment_idx + 1].start_s)
            own_stop = max(audio.cells_ended_by(segment.kept_stop / frame_rate), next_first)
        else:
            own_stop = audio.num_cells(stop / frame_rate)
        end = audio.num_cells((segment.start + segment.num_frames) / frame_rate)
        yield replace(segment, cells=Piece(first, max(end, own_stop)), own_cells=Piece(handed_over, own_stop))
        handed_over = own_stop
