"""Is this file the card it should be? Every frame number, flash and beep is checked; the first wrong one is named.

Three clocks must agree: the coarse strip of stage 1, the fine strip of stage 2 and the beeps of the sound. numpy only;
one frame in memory at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ltx_ray.models.testcard.code import TAG_BYTES, is_flash, tag_of
from ltx_ray.models.testcard.hear import Beep, find_beeps
from ltx_ray.models.testcard.layout import Layout, card_layout, draft_layout
from ltx_ray.models.testcard.read import NO_WORD, Frame, Reader, Word
from ltx_ray.models.testcard.tune import NOTES, SAMPLE_RATE_HZ, key_of, pitch_hz

Kind = Literal[
    "unreadable", "frame", "strips disagree", "video", "flash", "num frames",
    "no sound", "sound length", "beep missing", "beep late", "beep early", "extra beep", "pitch",
]  # fmt: skip

#: Beeps further off than this are wrong.
BEEP_TOLERANCE_S = Fraction(1, 100)
#: A beep cut off by the end of a take after less than this need not be heard.
_SHORTEST_BEEP_S = Fraction(3, 100)
#: A sound this near a whole second is its beep, late or early.
_NEAR_S = Fraction(1, 4)
_PITCH_TOLERANCE = 0.03
#: A file is a card if this many of its first frames can be read.
_FIRST_FRAMES = 16


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong. ``frame_idx`` counts from the file's start and is None for sound."""

    at_s: float
    frame_idx: int | None
    kind: Kind
    expected: str
    found: str

    def __str__(self) -> str:
        place = f"frame {self.frame_idx}" if self.frame_idx is not None else f"sound at {self.at_s:.3f} s"
        return f"{place}: {self.kind}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, slots=True)
class Tally:
    """``num_right`` of ``num_checked``."""

    num_right: int
    num_checked: int


@dataclass(frozen=True, slots=True)
class CardProof:
    """``wrong`` is in the order of time. A file that is no card has ``is_card`` False and nothing wrong."""

    num_frames: int
    is_card: bool
    is_draft: bool
    coarse: Tally
    fine: Tally  #: of 0 for a draft
    flashes: Tally
    beeps: Tally
    worst_beep_s: float  #: largest distance of a beep from its whole second
    wrong: tuple[Finding, ...]

    @property
    def first_wrong(self) -> str | None:
        """One sentence, or None when everything is right."""
        return str(self.wrong[0]) if self.wrong else None


@dataclass(slots=True)
class _Reading:
    """Words of every frame, as one layout sees them."""

    reader: Reader
    coarse: list[Word] = field(default_factory=list)
    fine: list[Word] = field(default_factory=list)

    def add(self, frame: Frame) -> None:
        self.coarse.append(self.reader.coarse(frame))
        self.fine.append(self.reader.fine(frame))

    @property
    def is_draft(self) -> bool:
        return self.reader.layout.fine is None

    @property
    def num_readable(self) -> int:
        return sum(word.is_whole for word in self.coarse[:_FIRST_FRAMES])


def prove(
    frames: Iterable[Frame],
    samples: NDArray[np.float32] | None,
    *,
    frame_rate: Fraction,
    width: int,
    height: int,
    size: tuple[int, int] | None = None,
    label: str | None = None,
    takes: Sequence[int] | None = None,
) -> CardProof:
    """Check a decoded file.

    Args:
        frames: uint8 [height, width, 3], in order.
        samples: [channels, n] at 48 kHz, or None when the file has no sound (which is wrong for a card).
        size: width and height before the centred crop; None = the next multiples of 64 (32 for a draft).
        label: the video id; None = any, but one and the same throughout.
        takes: frames of each take, in order; numbers and beeps start again at 0 in each. None = one take.
    """
    readings = [_Reading(reader) for reader in _readers(width, height, size)]
    for frame in frames:
        for reading in readings:
            reading.add(frame)
    best = max(readings, key=lambda reading: (reading.num_readable, not reading.is_draft))
    num_frames = len(best.coarse)
    if best.num_readable * 2 <= min(num_frames, _FIRST_FRAMES):
        none = Tally(0, 0)
        return CardProof(num_frames, False, False, none, none, none, none, 0.0, ())
    lengths = list(takes) if takes else [num_frames]
    picture = _check_picture(best, lengths, frame_rate, label)
    sound = _check_sound(samples, lengths, frame_rate, label)
    wrong = sorted([*picture.wrong, *sound.wrong], key=lambda finding: finding.at_s)
    return CardProof(
        num_frames, True, best.is_draft, picture.coarse, picture.fine, picture.flashes, sound.beeps, sound.worst_s,
        tuple(wrong),
    )  # fmt: skip


def _readers(width: int, height: int, size: tuple[int, int] | None) -> list[Reader]:
    """A reader for the finished picture and one for a draft, where the size allows it."""
    full_width, full_height = size or (_up(width, 64), _up(height, 64))
    half_width, half_height = size or (_up(width, 32), _up(height, 32))
    layouts: list[Layout] = []
    if full_width % 64 == 0 and full_height % 64 == 0 and min(full_width, full_height) >= 128:
        layouts.append(card_layout(full_width, full_height))
    if half_width % 32 == 0 and half_height % 32 == 0 and min(half_width, half_height) >= 64:
        layouts.append(draft_layout(half_width, half_height))
    return [Reader(each, (each.width - width) // 2, (each.height - height) // 2) for each in layouts]


def _up(value: int, step: int) -> int:
    return -(-value // step) * step


@dataclass(slots=True)
class _Picture:
    wrong: list[Finding]
    coarse: Tally
    fine: Tally
    flashes: Tally


def _check_picture(reading: _Reading, takes: list[int], frame_rate: Fraction, label: str | None) -> _Picture:
    wrong: list[Finding] = []
    num_frames = len(reading.coarse)
    expected = [number for length in takes for number in range(length)]
    tag = _tag(reading, label)
    right = Counter[str]()
    lit = 0
    for idx, (coarse, fine, number) in enumerate(zip(reading.coarse, reading.fine, expected, strict=False)):
        at_s = float(idx / frame_rate)
        octet = tag[number % TAG_BYTES]
        right["coarse"] += coarse.is_whole and (coarse.counter, coarse.tag_byte) == (number, octet)
        right["fine"] += fine.is_whole and (fine.counter, fine.tag_byte) == (number, octet)
        finding = _wrong_word(coarse, None if reading.is_draft else fine, number, octet)
        if finding is not None:
            wrong.append(Finding(at_s, idx, *finding))
        flash = is_flash(number, frame_rate)
        lit += flash
        if coarse.is_whole and coarse.flash != flash:
            wrong.append(Finding(at_s, idx, "flash", _lit(flash), _lit(coarse.flash)))
        else:
            right["flash"] += flash and coarse.is_whole
    if num_frames != len(expected):
        end = float(min(num_frames, len(expected)) / frame_rate)
        found = f"{num_frames} frames"
        wrong.append(Finding(end, min(num_frames, len(expected)), "num frames", f"{len(expected)} frames", found))
    num_fine = 0 if reading.is_draft else num_frames
    return _Picture(
        wrong, Tally(right["coarse"], num_frames), Tally(right["fine"], num_fine), Tally(right["flash"], lit)
    )


def _wrong_word(coarse: Word, fine: Word | None, number: int, octet: int) -> tuple[Kind, str, str] | None:
    """What is wrong with a frame's strips; None if nothing is. ``fine`` None: a draft."""
    if not coarse.is_whole or (fine is not None and not fine.is_whole):
        strip = "the coarse strip" if not coarse.is_whole else "the fine strip"
        return "unreadable", "two strips" if fine is not None else "a strip", f"{strip} says nothing"
    other = coarse if fine is None else fine
    if coarse.counter != other.counter:
        return "strips disagree", f"number {number} on both", f"coarse {coarse.counter}, fine {other.counter}"
    if coarse.counter != number:
        return "frame", f"number {number}", f"number {coarse.counter}"
    if coarse.tag_byte != other.tag_byte:
        return "strips disagree", "one video on both", "coarse and fine strips of different videos"
    if coarse.tag_byte != octet:
        return "video", f"tag byte {octet:#04x} of this video", f"{coarse.tag_byte:#04x} of another"
    return None


def _tag(reading: _Reading, label: str | None) -> tuple[int, ...]:
    """The tag's bytes: the label's, or what most frames say."""
    if label is not None:
        return tuple(tag_of(label) >> (8 * place) & 0xFF for place in range(TAG_BYTES))
    votes = [Counter[int]() for _ in range(TAG_BYTES)]
    for word in (*reading.coarse, *reading.fine):
        if word.is_whole:
            votes[word.counter % TAG_BYTES][word.tag_byte] += 1
    return tuple(vote.most_common(1)[0][0] if vote else NO_WORD.tag_byte for vote in votes)


def _lit(flash: bool) -> str:
    return "flash on" if flash else "flash off"


@dataclass(slots=True)
class _Sound:
    wrong: list[Finding]
    beeps: Tally
    worst_s: float


def _check_sound(
    samples: NDArray[np.float32] | None, takes: list[int], frame_rate: Fraction, label: str | None
) -> _Sound:
    """Beeps at every whole second of every take, in pitch, and none elsewhere."""
    duration_s = sum(takes) / frame_rate
    if samples is None:
        return _Sound([Finding(0.0, None, "no sound", "a sound track", "none")], Tally(0, 0), 0.0)
    wrong: list[Finding] = []
    wanted = int(duration_s * SAMPLE_RATE_HZ)
    if abs(samples.shape[1] - wanted) > 1:
        at_s = min(samples.shape[1], wanted) / SAMPLE_RATE_HZ
        wrong.append(Finding(at_s, None, "sound length", f"{wanted} samples", f"{samples.shape[1]} samples"))
    heard = find_beeps(samples)
    expected = _expected_beeps(takes, frame_rate)
    key = key_of(label) if label is not None else None
    worst, num_right = 0.0, 0
    for at, second, needed in expected:
        beep = _nearest(heard, at)
        if beep is None:
            if needed:
                wrong.append(Finding(float(at), None, "beep missing", f"a beep at {float(at):.3f} s", "silence"))
            continue
        heard.remove(beep)
        off = Fraction(beep.onset, SAMPLE_RATE_HZ) - at
        worst = max(worst, abs(float(off)))
        key = _key_heard(beep, second) if key is None else key
        finding = _wrong_beep(beep, at, off, second, key)
        wrong.extend([finding] if finding else [])
        num_right += finding is None
    wrong.extend(
        Finding(beep.onset / SAMPLE_RATE_HZ, None, "extra beep", "silence", f"a sound of {beep.pitch_hz:.0f} Hz")
        for beep in heard
    )
    num_needed = sum(needed for _, _, needed in expected)
    return _Sound(wrong, Tally(min(num_right, num_needed), num_needed), worst)


def _expected_beeps(takes: list[int], frame_rate: Fraction) -> list[tuple[Fraction, int, bool]]:
    """Time in the file, second of the take, and whether it is long enough that it must be heard."""
    beeps, start = [], Fraction(0)
    for length in takes:
        stop = start + length / frame_rate
        seconds = range(-(-(length * frame_rate.denominator) // frame_rate.numerator))
        beeps += [(start + second, second, stop - start - second > _SHORTEST_BEEP_S) for second in seconds]
        start = stop
    return beeps


def _nearest(heard: list[Beep], at: Fraction) -> Beep | None:
    """The sound that begins nearest to ``at``, if near enough to be its beep."""
    beep = min(heard, key=lambda each: abs(each.onset - at * SAMPLE_RATE_HZ), default=None)
    return beep if beep and abs(beep.onset - at * SAMPLE_RATE_HZ) < _NEAR_S * SAMPLE_RATE_HZ else None


def _wrong_beep(beep: Beep, at: Fraction, off: Fraction, second: int, key: int) -> Finding | None:
    if abs(off) > BEEP_TOLERANCE_S:
        kind: Kind = "beep late" if off > 0 else "beep early"
        found = f"{float(at + off):.3f} s ({float(off) * 1000:+.0f} ms)"
        return Finding(float(at), None, kind, f"a beep at {float(at):.3f} s", found)
    wanted = pitch_hz(key, second)
    if beep.pitch_hz and abs(beep.pitch_hz / wanted - 1) > _PITCH_TOLERANCE:
        found = f"{beep.pitch_hz:.0f} Hz"
        return Finding(float(at), None, "pitch", f"{wanted:.0f} Hz, the note of second {second}", found)
    return None


def _key_heard(beep: Beep, second: int) -> int:
    """The key of an unknown video: the first beep is taken to be right."""
    semitones = 12 * np.log2(max(beep.pitch_hz, 1.0) / pitch_hz(0, 0)) - NOTES[second % len(NOTES)]
    return round(float(semitones))
