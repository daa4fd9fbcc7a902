"""What a file needs of one take: the chunks of its picture, its sound, and where its seams are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ltx_ray.manifest.schema import Video
from ltx_ray.plan.chain import Chain
from ltx_ray.plan.conditions import Provider
from ltx_ray.plan.dag import Plan
from ltx_ray.plan.films import ingest_film
from ltx_ray.plan.layout import TakeLayout
from ltx_ray.plan.notes import Note
from ltx_ray.plan.redo import PlacedRedo
from ltx_ray.plan.sounds import carried, stretches
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.piece import Piece
from ltx_ray.spec.recipe import ClipSoundRecipe, Crossfade
from ltx_ray.spec.source import GivenFacts, SourceFacts
from ltx_ray.spec.task import Parent


class Ending(NamedTuple):
    """The sound of a take after its end."""

    pieces: tuple[Piece, ...]  #: cells of each of its segments
    keys: tuple[str, ...]
    start: int  #: the first sample of what they decode to that is not heard any more


class Heard(NamedTuple):
    """Where a take's sound lies in its file."""

    file_start: int  #: the frame at which the take begins
    rate_hz: int
    before: Ending | None = None  #: the take before, where its sound passes into this one's


@dataclass(slots=True)
class TakeTasks:
    """What a file needs of a take. ``seams``: first shown frame after each, and the key of its connect task, if any."""

    chunks: list[str] = field(default_factory=list)
    chunk_frames: list[int] = field(default_factory=list)
    seams: list[tuple[int, str | None]] = field(default_factory=list)
    #: Keys of its sounds, end to end, and how many samples of each are heard.
    sounds: list[tuple[str, int]] = field(default_factory=list)
    ending: Ending | None = None  #: where the next take begins with what this one ends with


def plan_take(
    plan: Plan,
    video: Video,
    layout: TakeLayout,
    *,
    facts: ModelFacts,
    unit: str,
    providers: tuple[Provider, ...],
    given: GivenFacts,
    heard: Heard,
    redos: Sequence[PlacedRedo] = (),
) -> TakeTasks:
    """Enter a take's tasks.

    Args:
        providers: of what its segments are given beside what they are given in every take.
        heard: where its sound lies.
        redos: its segments that are made anew, in order.
    """
    take = layout.take
    film = given.films[video.detail.path] if video.detail is not None else None
    chain = Chain(plan, video, take, facts, unit, providers=providers, film=film)
    chain.plan()
    for each in redos:
        chain.redo(each.segment_idx, each.redo)
        if each.segment_idx + 1 < len(take.segments):
            plan.notes.append(_kept_note(chain.name(each.segment_idx).removesuffix("/redo"), video))
    made = TakeTasks()
    pictures = () if video.picture is not None else zip(layout.windows, layout.pictures, strict=True)
    for window_idx, (window, recipe) in enumerate(pictures):
        parents = [Parent("latent", chain.refined[segment_idx]) for segment_idx in window.segments]
        if window.previous is not None:
            parents.append(Parent("previous", chain.refined[window.previous]))
        made.chunks.append(plan.add("decode", f"{unit}/window {window_idx}", recipe, tuple(parents)))
        made.chunk_frames.append(window.num_frames)
    for segment_idx in range(1, len(take.segments) if video.picture is None else 0):
        frame = take.segments[segment_idx - 1].kept_stop - take.lead
        made.seams.append((frame, chain.connectors.get(segment_idx)))
    made.sounds = list(_sounds(plan, video, layout, chain, given, heard))
    if video.scenes[take.segments[-1].scene_idx].reaches_next and video.audio is None:
        keys = tuple(chain.sounding[segment_idx] for segment_idx in range(len(take.segments)))
        start = layout.sound.start + _sample(take.num_frames, video, heard.rate_hz)
        made.ending = Ending(layout.sound.pieces, keys, start)
    return made


def _kept_note(name: str, video: Video) -> Note:
    what = f"{name} is made anew; the one that it replaces is needed too, because the next segment was made from it"
    return Note(what, video.id, "segments are made anew; those that they replace are needed too")


def _sounds(
    plan: Plan,
    video: Video,
    layout: TakeLayout,
    chain: Chain,
    given: GivenFacts,
    heard: Heard,
) -> Iterator[tuple[str, int]]:
    """Samples are counted on the file's own grid, so that takes and their stretches add up exactly."""
    file_start, rate_hz, before = heard
    take, unit = layout.take, chain.unit
    latents = tuple(Parent("latent", chain.sounding[segment_idx]) for segment_idx in range(len(take.segments)))
    if video.detail is not None and chain.film is not None:
        yield film_sound(plan, video, chain.film, rate_hz)
        return
    if video.audio is None:
        first, stop = (_sample(file_start + frame, video, rate_hz) for frame in (0, take.num_frames))
        recipe, previous = layout.sound, tuple[Parent, ...]()
        if before is not None:
            # As long as the one frame that the take before made of this one.
            fade = Crossfade(pieces=before.pieces, start=before.start, num_samples=_sample(1, video, rate_hz))
            recipe = replace(recipe, crossfade=fade)
            previous = tuple(Parent("previous", key) for key in before.keys)
        yield plan.add("audio_decode", unit, recipe, (*latents, *previous)), stop - first
        return
    for stretch in stretches(video, take):
        first, stop = (_sample(file_start + frame, video, rate_hz) for frame in (stretch.start, stretch.stop))
        name = unit if stretch.stop - stretch.start == take.num_frames else f"{unit}/from frame {stretch.start}"
        if stretch.is_given:
            yield (
                carried(plan, video, given, name, start=first, num_samples=stop - first, rate_hz=rate_hz),
                stop - first,
            )
            continue
        start = _sample(stretch.start, video, rate_hz)
        own = replace(layout.sound, start=layout.sound.start + start, num_samples=stop - first + 1)
        yield plan.add("audio_decode", name, own, latents), stop - first


def film_sound(plan: Plan, video: Video, source: SourceFacts, rate_hz: int) -> tuple[str, int]:
    """Key of the sound of a film that is kept, and its samples."""
    assert video.detail is not None
    path = video.detail.path
    num_samples = _sample(source.num_frames(video.frame_rate), video, rate_hz)
    file = ingest_film(plan, video, path, source)
    recipe = ClipSoundRecipe(sample_rate_hz=rate_hz, num_samples=num_samples, shifts=source.shifts)
    return plan.add("audio_decode", f"{video.id}/film", recipe, (Parent("file", file),), file=path), num_samples


def _sample(frame: int, video: Video, rate_hz: int) -> int:
    """The first sample that is heard with a frame, or after it began."""
    return frame * rate_hz * video.frame_rate.denominator // video.frame_rate.numerator
