"""Does every whole second of every take have its beep, in time and in tune, and is there no other sound?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ltx_ray.models.testcard.findings import Finding, Kind, Tally
from ltx_ray.models.testcard.hear import Beep, find_beeps
from ltx_ray.models.testcard.stretch import Stretch
from ltx_ray.models.testcard.tune import BEEP_SAMPLES, NOTES, SAMPLE_RATE_HZ, key_of, pitch_hz

#: Beeps further off than 10 ms are wrong.
_TOLERANCE = SAMPLE_RATE_HZ // 100
#: A beep of which the take's end leaves less than 30 ms need not be heard.
_SHORTEST_BEEP = SAMPLE_RATE_HZ * 3 // 100
#: Stage 2 hears the tune in noise: ten audio cells leave no doubt, in fewer it may be lost. The tenth begins at 330 ms.
_SHORTEST_TAKE = SAMPLE_RATE_HZ * 33 // 100
#: A sound within a quarter of a second of a whole one is its beep, late or early.
_NEAR = SAMPLE_RATE_HZ // 4
_PITCH_TOLERANCE = 0.03
_PIECE = 60 * SAMPLE_RATE_HZ


class Samples(Protocol):
    """An array [channels, samples], or what is read like one: only ``[:, start:stop]`` is asked for, in order."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    def __getitem__(self, place: tuple[slice, slice], /) -> NDArray[np.float32]: ...


@dataclass(slots=True)
class SoundCheck:
    wrong: list[Finding]
    beeps: Tally
    worst_s: float


@dataclass(frozen=True, slots=True)
class _Take:
    """``start``, ``stop`` in samples of the file; a beep may be cut by the next take's, so each is heard alone.

    ``begun``: samples of the tune that were heard before.
    """

    start: int
    stop: int
    begun: int
    label: str | None

    @property
    def is_heard(self) -> bool:
        """Long enough that stage 2 surely knows the tune; a shorter one may be silent or out of tune."""
        return self.stop - self.start > _SHORTEST_TAKE

    def expected(self) -> list[tuple[int, int, bool]]:
        """Onset in samples of the file, second of the take, and whether enough of it is left that it must be heard.

        Of a beep that began before the take, the rest may be heard.
        """
        second, past = divmod(self.begun, SAMPLE_RATE_HZ)
        rest = [(self.start, second, False)] if 0 < past < BEEP_SAMPLES else []
        onsets = range(self.start + -past % SAMPLE_RATE_HZ, self.stop, SAMPLE_RATE_HZ)
        return rest + [
            (onset, second, self.is_heard and self.stop - onset > _SHORTEST_BEEP)
            for second, onset in enumerate(onsets, second + (past > 0))
        ]

    def heard(self, samples: Samples) -> list[Beep]:
        """All sounds, a minute at a time, cut where the tune is silent: half a second from any beep."""
        first_cut = self.start + -self.begun % SAMPLE_RATE_HZ + SAMPLE_RATE_HZ // 2 + _PIECE
        edges = [self.start, *range(first_cut, self.stop, _PIECE), self.stop]
        return [
            Beep(beep.onset + start, beep.stop + start, beep.pitch_hz)
            for start, stop in pairwise(edges)
            for beep in find_beeps(samples[:, start:stop])
        ]


def check_sound(samples: Samples | None, stretches: Sequence[Stretch], frame_rate: Fraction) -> SoundCheck:
    """Beeps at every whole second of every stretch, in pitch, and none elsewhere."""
    if samples is None:
        return SoundCheck([Finding(0.0, None, "no sound", "a sound track", "none")], Tally(0, 0), 0.0)
    wrong: list[Finding] = []
    wanted = math.floor(sum(stretch.num_frames for stretch in stretches) / frame_rate * SAMPLE_RATE_HZ)
    if abs(samples.shape[1] - wanted) > 1:
        at_s = min(samples.shape[1], wanted) / SAMPLE_RATE_HZ
        wrong.append(Finding(at_s, None, "sound length", f"{wanted} samples", f"{samples.shape[1]} samples"))
    unnamed_key: int | None = None
    num_right, num_needed, worst = 0, 0, 0
    for take in _takes(stretches, frame_rate):
        heard = take.heard(samples)
        for onset, second, needed in take.expected():
            num_needed += needed
            beep = _nearest(heard, onset)
            if beep is None:
                wrong.extend([_missing(onset)] if needed else [])
                continue
            heard.remove(beep)
            worst = max(worst, abs(beep.onset - onset))
            if unnamed_key is None and take.label is None and take.is_heard and beep.pitch_hz:
                unnamed_key = _key_heard(beep, second)
            key = unnamed_key if take.label is None else key_of(take.label)
            finding = _wrong_beep(beep, onset, second, key if take.is_heard else None)
            wrong.extend([finding] if finding else [])
            num_right += finding is None and needed
        wrong.extend(_extra(beep) for beep in heard)
    return SoundCheck(wrong, Tally(num_right, num_needed), worst / SAMPLE_RATE_HZ)


def _takes(stretches: Sequence[Stretch], frame_rate: Fraction) -> list[_Take]:
    """Those of which something is asked."""
    frames = accumulate((stretch.num_frames for stretch in stretches), initial=0)
    cuts = pairwise([_samples(count, frame_rate) for count in frames])
    return [
        _Take(start, stop, _samples(stretch.first, frame_rate), stretch.label)
        for (start, stop), stretch in zip(cuts, stretches, strict=True)
        if stretch.is_judged
    ]


def _samples(num_frames: int, frame_rate: Fraction) -> int:
    return math.floor(num_frames / frame_rate * SAMPLE_RATE_HZ)


def _nearest(heard: list[Beep], onset: int) -> Beep | None:
    """The sound that begins nearest to ``onset``, if near enough to be its beep."""
    beep = min(heard, key=lambda each: abs(each.onset - onset), default=None)
    return beep if beep and abs(beep.onset - onset) < _NEAR else None


def _missing(onset: int) -> Finding:
    at_s = onset / SAMPLE_RATE_HZ
    return Finding(at_s, None, "beep missing", f"a beep at {at_s:.3f} s", "silence")


def _extra(beep: Beep) -> Finding:
    return Finding(beep.onset / SAMPLE_RATE_HZ, None, "extra beep", "silence", f"a sound of {beep.pitch_hz:.0f} Hz")


def _wrong_beep(beep: Beep, onset: int, second: int, key: int | None) -> Finding | None:
    """``key`` None: any pitch will do."""
    at_s, off = onset / SAMPLE_RATE_HZ, beep.onset - onset
    if abs(off) > _TOLERANCE:
        kind: Kind = "beep late" if off > 0 else "beep early"
        found = f"{beep.onset / SAMPLE_RATE_HZ:.3f} s ({off * 1000 / SAMPLE_RATE_HZ:+.0f} ms)"
        return Finding(at_s, None, kind, f"a beep at {at_s:.3f} s", found)
    wanted = 0.0 if key is None else pitch_hz(key, second)
    if wanted and beep.pitch_hz and abs(beep.pitch_hz / wanted - 1) > _PITCH_TOLERANCE:
        found = f"{beep.pitch_hz:.0f} Hz"
        return Finding(at_s, None, "pitch", f"{wanted:.0f} Hz, the note of second {second}", found)
    return None


def _key_heard(beep: Beep, second: int) -> int:
    """The key of an unknown video: the first beep is taken to be right."""
    semitones = 12 * np.log2(max(beep.pitch_hz, 1.0) / pitch_hz(0, 0)) - NOTES[second % len(NOTES)]
    return round(float(semitones))
