"""A sound that lies over a video: what the segments hear of it, and what the file carries.

A segment that it drives has all of its cells pinned to the sound at exactly their times. The file carries the sound
itself, never what the model makes of it; a scene in which it is off has a sound of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from ltx_ray.errors import PlanError
from ltx_ray.manifest.schema import Audio, Video
from ltx_ray.plan.conditions import Planned, Provided, SegmentStage
from ltx_ray.plan.dag import Plan
from ltx_ray.plan.images import scene_scopes
from ltx_ray.plan.segments import Take
from ltx_ray.spec.conditions import Freeze
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.piece import Piece
from ltx_ray.spec.recipe import ClipSoundRecipe, IngestRecipe, TrackRecipe
from ltx_ray.spec.source import GivenFacts, SoundFacts
from ltx_ray.spec.task import Parent
from ltx_ray.spec.weights import Part

_PARTS: tuple[Part, ...] = ("audio_vae",)
#: Cells before a segment's own that are encoded with them and dropped: the encoder is causal and looks less far back.
RUN_UP_CELLS = 64
#: A track that is shorter by less was meant to be as long: a rounding of its coder.
_ROUNDING_S = Fraction(1, 100)
#: At which a file carries a given sound, where its container cannot hold every rate to the sample.
CARRIED_RATE_HZ = 48_000
#: Beyond what anybody hears, and most players play.
MAX_RATE_HZ = 192_000


class Stretch(NamedTuple):
    """Frames [start, stop) of a take whose sound comes from one place."""

    start: int
    stop: int
    is_given: bool


@dataclass(frozen=True, slots=True)
class TrackOfTake:
    """A provider: what the segments of one take hear of the sound."""

    audio: Audio
    facts: SoundFacts
    start_s: Fraction  #: of the sound, where the take begins

    def __call__(self, planned: Planned, segment_idx: int, stage: SegmentStage) -> Iterator[Provided]:
        if not planned.is_driven(segment_idx):
            return
        cells, grid = planned.take.segments[segment_idx].cells, planned.facts.audio
        first = max(0, cells.start - RUN_UP_CELLS)
        recipe = TrackRecipe(
            weights=planned.facts.weights_for("condition", parts=_PARTS),
            start_s=self.start_s + first * grid.slots_per_cell * grid.slot_s,
            run_up_cells=cells.start - first,
            num_cells=cells.length,
            sample_rate_hz=grid.sample_rate_hz,
            track=self.audio.sound,
            shifts=self.facts.shifts,
        )
        file = ingest_sound(planned.plan_, planned.video, self.audio, self.facts)
        unit = f"{planned.name(segment_idx)}/sound"
        key = planned.plan_.add("condition", unit, recipe, (Parent("file", file),), file=self.audio.path)
        yield Provided(Freeze(modality="audio", piece=Piece(0, cells.length)), key)


def track_of_take(audio: Audio, facts: SoundFacts, take: Take, frame_rate: Fraction) -> TrackOfTake:
    return TrackOfTake(audio, facts, audio.start + take.start / frame_rate)


def check_sound(video: Video, takes: list[Take], given: GivenFacts) -> None:
    """Raise PlanError where the sound ends before what it is needed for."""
    if (audio := video.audio) is None or audio.pad == "silence":
        return
    stops = [take.start + each.stop for take in takes for each in stretches(video, take) if each.is_given]
    if not stops:
        return
    needed_s, there_s = max(stops) / video.frame_rate, given.sounds[audio.path].duration_s - audio.start
    if needed_s > there_s + _ROUNDING_S:
        from_s = f" from {float(audio.start):g} s on" if audio.start else ""
        there = f"{float(there_s):.3g} s" if there_s > 0 else "nothing"
        raise PlanError(
            f"audio.path: {audio.path} has {there}{from_s}, and {float(needed_s):.4g} s are needed; set audio.pad: "
            "silence, or make the video shorter"
        )


def stretches(video: Video, take: Take) -> list[Stretch]:
    """Where the sound of a take comes from, in order; one where all of it comes from one place."""
    found: list[Stretch] = []
    for scene_idx, scope in scene_scopes([take]).items():
        is_given = video.audio_use(scene_idx) != "off"
        start, stop = scope.start - take.start, scope.stop - take.start
        if found and found[-1].is_given == is_given:
            found[-1] = found[-1]._replace(stop=stop)
        else:
            found.append(Stretch(start, stop, is_given))
    return found


def carried_rate_hz(video: Video, takes: list[Take], facts: ModelFacts, given: GivenFacts, *, is_flac: bool) -> int:
    """The rate of the file's sound: the model's where the model makes some of it, else the given sound's own."""
    if video.detail is not None:
        return CARRIED_RATE_HZ
    if video.audio is None or not all(each.is_given for take in takes for each in stretches(video, take)):
        return facts.audio.sample_rate_hz
    own_hz = given.sounds[video.audio.path].sample_rate_hz
    return own_hz if is_flac and own_hz <= MAX_RATE_HZ else CARRIED_RATE_HZ


def carried(
    plan: Plan, video: Video, given: GivenFacts, unit: str, *, start: int, num_samples: int, rate_hz: int
) -> str:
    """Key of so many samples of the sound, from what is heard at the file's sample ``start`` on."""
    assert video.audio is not None
    audio, facts = video.audio, given.sounds[video.audio.path]
    file = ingest_sound(plan, video, audio, facts)
    recipe = ClipSoundRecipe(
        sample_rate_hz=rate_hz,
        num_samples=num_samples,
        track=audio.sound,
        shifts=facts.shifts,
        start=int(audio.start * rate_hz) + start,
    )
    return plan.add("audio_decode", unit, recipe, (Parent("file", file),), file=audio.path)


def ingest_sound(plan: Plan, video: Video, audio: Audio, facts: SoundFacts) -> str:
    key = plan.add("ingest", f"{video.id}/audio", IngestRecipe(sha256=facts.sha256))
    plan.files[key] = audio.path
    return key
