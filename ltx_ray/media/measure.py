"""What can be said in numbers of single frames of a video that lies in chunks, and of the sound under them.

Only the frames asked for are read, one at a time; of each remain a few numbers, so memory does not grow with the size
of a picture or the length of a video. Pictures are looked at as they are coded, in 8-bit Y'CbCr, without conversion.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ltx_ray.errors import MediaError
from ltx_ray.media.audio import Sound
from ltx_ray.media.read import read_ranges

#: Sharpness is taken from about so many rows and columns of a picture.
_MAX_LINES = 540
#: Motion is seen in a picture of about so many blocks a side: noise and grain are averaged away.
_BLOCKS = 32
#: Below this spread, in 8-bit levels, a picture counts as flat, and its noise is not taken for contrast.
_FLAT = 2.0
#: Frames whose sound is read at a time.
_SOUND_FRAMES = 64


class Picture(NamedTuple):
    """One frame. ``change`` is how far it differs from the one before, after both are brought to one brightness and
    contrast: the mean difference in standard deviations of the picture; nan where the one before was not read.
    """

    luma: float
    blue: float
    red: float
    sharpness: float  #: natural logarithm of fine detail (second differences) over contrast, as energies
    change: float


class Hearing(NamedTuple):
    """The sound while one frame is shown."""

    power: float  #: mean square over all channels
    jump: float  #: largest step from one sample to the next


def measure_pictures(
    chunks: Sequence[Path], counts: Sequence[int], ranges: Sequence[tuple[int, int]], frame_rate: Fraction
) -> dict[int, Picture]:
    """The frames in ``ranges``, by their number in the file that the chunks make.

    Args:
        counts: frames of each chunk.
        ranges: [start, stop), ascending and apart.
    Raises:
        MediaError: a chunk cannot be read or is shorter than its count.
    """
    found: dict[int, Picture] = {}
    before: tuple[int, np.ndarray] | None = None
    for path, offset, local in _per_chunk(chunks, counts, ranges):
        for number, planes in read_ranges(path, local, frame_rate=frame_rate):
            small = _thumbnail(planes[0])
            is_next = before is not None and before[0] == offset + number - 1
            change = float(np.abs(small - before[1]).mean()) if is_next and before is not None else math.nan
            luma, blue, red = (float(plane.mean()) for plane in planes)
            found[offset + number] = Picture(luma, blue, red, _sharpness(planes[0]), change)
            before = offset + number, small
        if missing := [offset + start for start, stop in local if offset + stop - 1 not in found]:
            raise MediaError(f"{path}: chunk ends before frame {missing[0]} of its video; make it again")
    return found


def _per_chunk(
    chunks: Sequence[Path], counts: Sequence[int], ranges: Sequence[tuple[int, int]]
) -> Iterator[tuple[Path, int, list[tuple[int, int]]]]:
    """Chunks that hold a wanted frame, the number of their first, and the ranges counted from it."""
    for path, count, end in zip(chunks, counts, accumulate(counts), strict=True):
        offset = end - count
        cut = [(max(start - offset, 0), min(stop - offset, count)) for start, stop in ranges]
        if local := [(start, stop) for start, stop in cut if start < stop]:
            yield path, offset, local


def _thumbnail(luma: np.ndarray) -> np.ndarray:
    """Block means with mean 0 and, unless the picture is flat, standard deviation 1."""
    side = max(1, min(luma.shape) // _BLOCKS)
    rows, columns = luma.shape[0] // side, luma.shape[1] // side
    blocks = luma[: rows * side, : columns * side].reshape(rows, side, columns, side)
    small: np.ndarray = blocks.mean((1, 3), dtype=np.float32)
    small -= small.mean()
    return small / max(float(small.std()), _FLAT)


def _sharpness(luma: np.ndarray) -> float:
    step = math.ceil(max(luma.shape) / _MAX_LINES)
    energies = []
    for lines in (luma[::step], luma[:, ::step].T):
        fine = np.diff(lines.astype(np.int16), 2, axis=1)
        energies.append(np.square(fine, dtype=np.float32).mean())
    # One level squared stands for what 8 bits cannot say: a flat picture has no sharpness to lose.
    return math.log((float(np.mean(energies)) + 1) / (float(luma[::step].var(dtype=np.float64)) + 1))


@dataclass(frozen=True, slots=True)
class Track:
    """Sounds end to end, one for each take, the first ``lengths`` samples of each."""

    sounds: tuple[Sound, ...]
    lengths: tuple[int, ...]

    def samples(self, start: int, stop: int) -> np.ndarray:
        """Samples [start, stop), float32 [channels, n]."""
        parts, offset = [], 0
        for sound, length in zip(self.sounds, self.lengths, strict=True):
            first, end = max(start - offset, 0), min(stop - offset, length)
            if first < end:
                parts.append(sound.samples(first, end))
            offset += length
        return np.concatenate(parts, axis=1) if parts else np.zeros((1, 0), np.float32)


def measure_sound(track: Track, ranges: Sequence[tuple[int, int]], frame_rate: Fraction) -> dict[int, Hearing]:
    """What is heard while each frame in ``ranges`` is shown, by the frame's number."""
    per_frame = track.sounds[0].sample_rate_hz / frame_rate
    found: dict[int, Hearing] = {}
    for start, stop in _blocks(ranges):
        edges = [math.floor(number * per_frame) for number in range(start, stop + 1)]
        first = max(edges[0] - 1, 0)  # one before, for the step onto the range's first sample
        samples = track.samples(first, edges[-1])
        power = np.square(samples, dtype=np.float64).mean(0)
        steps = np.abs(np.diff(samples, axis=1, prepend=samples[:, :1])).max(0)
        for number, (a, b) in enumerate(pairwise(edges), start):
            shown = slice(a - first, b - first)
            found[number] = Hearing(float(power[shown].sum()) / (b - a), float(steps[shown].max(initial=0)))
    return found


def _blocks(ranges: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The same ranges in pieces whose sound is small."""
    for start, stop in ranges:
        for first in range(start, stop, _SOUND_FRAMES):
            yield first, min(first + _SOUND_FRAMES, stop)
