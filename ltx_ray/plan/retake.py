"""A film of which stretches are made anew: which calls that takes, what they keep, and what the file shows of whom.

Stretches are counted in whole frames, rounded outward. Those that fit into one call with the film around them are one
window, a take of its own; in it every latent and every cell that no stretch touches is held at the film's. The file
shows what is new inside the stretches alone, its edges blended into the film, and the film's own frames and samples
everywhere else. A film whose picture stays is shipped by its packets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from ltx_ray.errors import PlanError
from ltx_ray.manifest.schema import Ranges, Retake, Video
from ltx_ray.plan.chain import Chain
from ltx_ray.plan.conditions import Planned, Provided, SegmentStage
from ltx_ray.plan.dag import Plan
from ltx_ray.plan.films import CHUNK_LATENTS, film_cells, film_latents, footage_of, ingest_film
from ltx_ray.plan.notes import Note
from ltx_ray.plan.segments import Take, cut_takes, longest_call
from ltx_ray.plan.sounds import CARRIED_RATE_HZ
from ltx_ray.plan.windows import window_at
from ltx_ray.spec.conditions import Hold
from ltx_ray.spec.grid import VideoGrid
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.piece import Piece
from ltx_ray.spec.recipe import (
    AudioDecodeRecipe,
    ClipDecodeRecipe,
    ClipSoundRecipe,
    DecodeRecipe,
    EncodeSettings,
    Patch,
)
from ltx_ray.spec.source import SourceFacts
from ltx_ray.spec.task import Parent

#: Frames of the film that a call sees before and after a stretch, where the film is longer than a call.
CONTEXT_FRAMES = 48
#: Of sound that passes from the film to what is new: 10 ms.
_FADES_A_SECOND = 100


class Span(NamedTuple):
    """Frames [start, stop) of the file."""

    start: int
    stop: int

    def touches(self, start: Fraction | int, stop: Fraction | int) -> bool:
        return self.start < stop and start < self.stop


@dataclass(slots=True)
class RetakeParts:
    """What the file is made of."""

    chunks: list[Parent] = field(default_factory=list)
    sounds: list[tuple[str, int]] = field(default_factory=list)  #: keys, and the samples that are heard of each
    num_frames: int = 0
    is_copied: bool = False  #: the picture is the film's packets


@dataclass(frozen=True, slots=True)
class _Window:
    """A take of its own over part of the film, once its tasks are entered."""

    span: Span
    chain: Chain


@dataclass(frozen=True, slots=True)
class KeptOfFilm:
    """A provider: everything of a window that no stretch touches."""

    path: str
    source: SourceFacts
    picture: tuple[Span, ...]  #: that is made anew
    sound: tuple[Span, ...]

    def __call__(self, planned: Planned, segment_idx: int, stage: SegmentStage) -> Iterator[Provided]:
        take, segment, facts = planned.take, planned.take.segments[segment_idx], planned.facts
        begin, rate = take.start + segment.start, planned.video.frame_rate
        there = self.source.num_frames(rate)
        bounds = [
            facts.video.first_frame(idx) + begin for idx in range(facts.video.num_latents(segment.num_frames) + 1)
        ]
        latents = [
            stop <= there
            and not any(span.touches(start, stop) for span in self.picture)  # past its end a film stands still
            for start, stop in pairwise(bounds)
        ]
        if any(latents):
            key = film_latents(planned, segment_idx, stage, self.path, self.source, fit="reflect")
            for piece in _runs(latents):
                yield Provided(Hold(modality="video", piece=piece, start=piece.start), key)
        grid = facts.audio
        edges = [
            take.start + grid.first_slot(cell) * grid.slot_s * rate
            for cell in range(segment.cells.start, segment.cells.stop + 1)
        ]
        cells = [not any(span.touches(*edge) for span in self.sound) for edge in pairwise(edges)]
        if any(cells):
            key = film_cells(planned, segment_idx, self.path, self.source)
            for piece in _runs(cells):
                yield Provided(Hold(modality="audio", piece=piece, start=piece.start), key)


def plan_retake(
    plan: Plan,
    video: Video,
    facts: ModelFacts,
    source: SourceFacts,
    encode: EncodeSettings,
    container_codecs: Sequence[str],
) -> RetakeParts:
    """Enter all tasks of the video but those that join its parts.

    Args:
        container_codecs: rows of ``spec.codecs`` whose packets the file can hold.

    Raises:
        PlanError: a stretch cannot be cut into calls.
    """
    assert video.retake is not None
    retake, rate = video.retake, video.frame_rate
    there, num_frames = source.num_frames(rate), video.scenes[0].num_frames or 0
    _check_begins(retake, source, there, rate)
    new = [Span(there, num_frames)] if num_frames > there else []
    picture, sound = (_spans([*_asked(ranges, video, num_frames), *new]) for ranges in (retake.picture, retake.sound))
    kept = KeptOfFilm(retake.path, source, tuple(picture), tuple(sound))
    longest = min(facts.max_frames, longest_call(rate, facts), video.scenes[0].segment.frames or facts.max_frames)
    made = []
    spans = _windows(_spans([*picture, *sound]), num_frames, longest, facts.video)
    for window_idx, span in enumerate(spans):
        unit = video.id if len(spans) == 1 else f"{video.id}/stretch {window_idx}"
        chain = Chain(plan, video, _take_of(video, span, facts), facts, unit, providers=(kept,))
        chain.plan()
        made.append(_Window(span, chain))
    _note_rounding(plan, video, picture, spans, facts.video)
    parts = RetakeParts(num_frames=num_frames)
    parts.is_copied = not picture and source.chunk_codec in container_codecs
    file = ingest_film(plan, video, retake.path, source)
    if parts.is_copied:
        parts.chunks = [Parent("chunk", file)]
    else:
        parts.chunks = [
            Parent("chunk", key) for key in _pictures(plan, video, facts, source, encode, made, picture, file)
        ]
    parts.sounds = list(_sounds(plan, video, facts, source, made, sound, file))
    return parts


def _check_begins(retake: Retake, source: SourceFacts, there: int, rate: Fraction) -> None:
    """Raise PlanError for a stretch that is no part of the film, nor goes on from its end."""
    for key, ranges in (("picture", retake.picture), ("sound", retake.sound)):
        for start, stop in () if ranges == "all" else ranges:
            if start * rate > there:
                length = f"{float(there / rate):.4g} s"
                raise PlanError(
                    f"retake.{key}: [{float(start):g}, {float(stop):g}] begins after the film, which is {length} long; "
                    f"begin at {length} at most to extend it"
                )


def _asked(ranges: Ranges, video: Video, num_frames: int) -> list[Span]:
    if ranges == "all":
        return [Span(0, num_frames)]
    rate = video.frame_rate
    found = (Span(int(start * rate), min(num_frames, -int(-stop * rate // 1))) for start, stop in ranges)
    return [span for span in found if span.start < span.stop]


def _spans(spans: Sequence[Span]) -> list[Span]:
    """In order, those that touch as one."""
    found: list[Span] = []
    for span in sorted(spans):
        if found and span.start <= found[-1].stop:
            found[-1] = Span(found[-1].start, max(found[-1].stop, span.stop))
        else:
            found.append(span)
    return found


def _windows(spans: Sequence[Span], num_frames: int, longest: int, grid: VideoGrid) -> list[Span]:
    """What the calls cover: all of a film that fits into one; else each stretch with some of the film around it.

    A stretch begins with a latent of its window wherever it can, so that nothing before it is made anew.
    """
    step = grid.frames_per_latent
    if num_frames <= longest:
        return [_in_whole_latents(Span(0, num_frames), spans[-1].stop, step)]
    found: list[Span] = []
    for span in spans:
        before = min(CONTEXT_FRAMES, max(0, span.start - 1)) // step * step + 1
        start, stop = max(0, span.start - before), min(num_frames, span.stop + CONTEXT_FRAMES)
        if found and start < found[-1].stop:
            found[-1] = Span(found[-1].start, stop)
        else:
            found.append(Span(start, stop))
    return [_in_whole_latents(each, max(span.stop for span in spans if each.touches(*span)), step) for each in found]


def _in_whole_latents(window: Span, needed: int, step: int) -> Span:
    """Without frames that would fill a last latent in part; what stands still there is no film to go by."""
    stop = window.start + (window.stop - window.start - 1) // step * step + 1
    return Span(window.start, stop) if stop >= needed else window


def _take_of(video: Video, span: Span, facts: ModelFacts) -> Take:
    scene = replace(video.scenes[0], num_frames=span.stop - span.start, seconds=None)
    (take,), _ = cut_takes(replace(video, scenes=(scene,)), facts)
    return replace(take, start=span.start)


def _note_rounding(plan: Plan, video: Video, picture: Sequence[Span], windows: Sequence[Span], grid: VideoGrid) -> None:
    for span in picture:
        window = next(each for each in windows if each.touches(*span))
        first, last = grid.latent_of(span.start - window.start), grid.latent_of(span.stop - 1 - window.start)
        start = window.start + grid.first_frame(first)
        stop = min(window.stop, window.start + grid.first_frame(last + 1))
        if (start, stop) != span:
            what = f"frames {span.start} to {span.stop - 1} are sampled as {start} to {stop - 1}, in whole latents"
            plan.notes.append(Note(what, video.id, "stretches are sampled in whole latents"))


def _pictures(
    plan: Plan,
    video: Video,
    facts: ModelFacts,
    source: SourceFacts,
    encode: EncodeSettings,
    made: Sequence[_Window],
    picture: Sequence[Span],
    file: str,
) -> Iterator[str]:
    """Keys of chunks, from the file's beginning to its end."""
    assert video.retake is not None
    path, num_frames = video.retake.path, video.scenes[0].num_frames or 0
    footage = footage_of(video, source, video.width, video.height, fit="reflect")
    edge = 0
    for span in [*picture, Span(num_frames, num_frames)]:
        for start, stop in _pieces(edge, span.start, CHUNK_LATENTS * facts.video.frames_per_latent):
            recipe = ClipDecodeRecipe(footage=footage, start=start, stop=stop, encode=encode)
            yield plan.add("decode", f"{video.id}/film from frame {start}", recipe, (Parent("file", file),), file=path)
        blend = _blend(video.retake, span, source.num_frames(video.frame_rate))
        most = (video.decode_window or facts.window_latents) * facts.video.frames_per_latent
        for start, stop in _pieces(*span, most, least=video.retake.blend):
            window = next(each for each in made if each.span.touches(start, stop))
            take, offset = window.chain.take, window.span.start
            shown = window_at(take, start - offset, stop - offset, video.decode_tiling, facts)
            patch = Patch(
                footage=footage,
                start=start,
                num_in=blend[0] if start == span.start else 0,
                num_out=blend[1] if stop == span.stop else 0,
            )
            decode = DecodeRecipe(
                weights=facts.weights_for("decode"),
                pieces=shown.pieces,
                start=shown.start,
                stop=shown.stop,
                fade=None,
                tiling=video.decode_tiling,
                frame_rate=video.frame_rate,
                encode=encode,
                patch=patch if patch.num_in or patch.num_out else None,
            )
            latents = [Parent("latent", window.chain.generated[segment_idx]) for segment_idx in shown.segments]
            films = [Parent("file", file)] if decode.patch else []
            yield plan.add("decode", f"{video.id}/new from frame {start}", decode, (*latents, *films), file=path)
        edge = span.stop


def _blend(retake: Retake, span: Span, num_there: int) -> tuple[int, int]:
    """Frames that blend at both ends; none where the film has nothing beside the stretch, or under it."""
    most = min(retake.blend, (span.stop - span.start) // 3)
    before = min(most, max(0, num_there - span.start)) if span.start else 0
    return before, most if span.stop < num_there else 0


def _pieces(start: int, stop: int, most: int, *, least: int = 0) -> Iterator[tuple[int, int]]:
    """[start, stop) in pieces of ``most``; a last one shorter than ``least`` is part of the one before it."""
    while start < stop:
        end = stop if stop - start - most < max(1, least) else start + most
        yield start, end
        start = end


def _sounds(
    plan: Plan,
    video: Video,
    facts: ModelFacts,
    source: SourceFacts,
    made: Sequence[_Window],
    sound: Sequence[Span],
    file: str,
) -> Iterator[tuple[str, int]]:
    """Keys of sounds, end to end, and how many samples each has."""
    assert video.retake is not None
    path, num_frames, rate = video.retake.path, video.scenes[0].num_frames or 0, video.frame_rate
    rate_hz = facts.audio.sample_rate_hz if sound else CARRIED_RATE_HZ

    def sample(frame: int) -> int:
        return frame * rate_hz * rate.denominator // rate.numerator

    edge = 0
    for span in [*sound, Span(num_frames, num_frames)]:
        if edge < span.start:
            num_samples = sample(span.start) - sample(edge)
            kept = ClipSoundRecipe(
                sample_rate_hz=rate_hz, num_samples=num_samples, shifts=source.shifts, start=sample(edge)
            )
            unit = f"{video.id}/film from frame {edge}"
            yield plan.add("audio_decode", unit, kept, (Parent("file", file),), file=path), num_samples
        if span.start < span.stop:
            window = next(each for each in made if each.span.touches(*span))
            num_samples = sample(span.stop) - sample(span.start)
            fade, there = min(rate_hz // _FADES_A_SECOND, num_samples // 3), source.num_frames(rate)
            before = min(fade, max(0, sample(there) - sample(span.start))) if span.start else 0
            patch = Patch(
                footage=footage_of(video, source, video.width, video.height, fit="reflect"),
                start=sample(span.start),
                num_in=before,
                num_out=fade if span.stop < there else 0,
            )
            take = window.chain.take
            new = AudioDecodeRecipe(
                weights=facts.weights_for("audio_decode"),
                pieces=tuple(
                    Piece(
                        segment.own_cells.start - segment.cells.start if idx else 0,
                        segment.own_cells.stop - segment.cells.start,
                    )
                    for idx, segment in enumerate(take.segments)
                ),
                start=sample(span.start - window.span.start),
                num_samples=num_samples,
                patch=patch,
            )
            latents = [Parent("latent", window.chain.generated[idx]) for idx in range(len(take.segments))]
            unit = f"{video.id}/new from frame {span.start}"
            yield plan.add("audio_decode", unit, new, (*latents, Parent("file", file)), file=path), num_samples
        edge = span.stop


def _runs(flags: Sequence[bool]) -> Iterator[Piece]:
    """Stretches of True."""
    edges = [idx for idx, (one, other) in enumerate(pairwise([False, *flags, False])) if one != other]
    return (Piece(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True))
