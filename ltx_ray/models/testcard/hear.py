"""Finding beeps in samples: numpy only, a second at a time.

A lossy codec smears an onset over milliseconds before it; the point where the loudness crosses half of a beep's own
level stays where it was to a fraction of a millisecond.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ltx_ray.models.testcard.tune import BEEP_SAMPLES, LEVEL, RAMP_SAMPLES, SAMPLE_RATE_HZ

Floats = NDArray[np.float32]
#: Loudness is taken over this many samples: 4 ms holds almost two periods of the lowest note.
_SPAN = 192
#: Half the loudness of a beep.
_THRESHOLD = LEVEL / np.sqrt(2) / 2
#: Silences shorter than this do not end a beep.
_GAP = 480
#: Anything shorter is a click of the codec, not a beep.
_SHORTEST = 480
_PIECE = 30 * SAMPLE_RATE_HZ


class Beep(NamedTuple):
    """A stretch of sound [onset, stop) in samples; ``pitch_hz`` 0.0 when it is too short to tell."""

    onset: int
    stop: int
    pitch_hz: float


def find_beeps(samples: Floats) -> list[Beep]:
    """All sounds at least half as loud as a beep, in order; channels are mixed."""
    mono = samples.mean(axis=0, dtype=np.float64)
    loud = np.empty(len(mono), bool)
    for start in range(0, len(mono), _PIECE):
        loud[start : start + _PIECE] = _loudness(mono, start, min(len(mono), start + _PIECE)) > _THRESHOLD
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]]).astype(np.int8)))
    beeps: list[tuple[int, int]] = []
    for start, stop in edges.reshape(-1, 2).tolist():
        if beeps and start - beeps[-1][1] < _GAP:
            beeps[-1] = (beeps[-1][0], stop)
        else:
            beeps.append((start, stop))
    return [_beep(mono, start, stop) for start, stop in beeps if stop - start > _SHORTEST]


def _loudness(mono: NDArray[np.float64], start: int, stop: int) -> NDArray[np.float64]:
    """Root mean square around each sample of [start, stop)."""
    half = _SPAN // 2
    piece = np.zeros(stop - start + _SPAN)
    first, last = max(0, start - half), min(len(mono), stop + half)
    piece[first - start + half : last - start + half] = mono[first:last] ** 2
    total = np.concatenate([[0.0], np.cumsum(piece)])
    energy: NDArray[np.float64] = np.maximum(0.0, total[_SPAN:] - total[:-_SPAN])[: stop - start]
    return np.sqrt(energy / _SPAN)


def _beep(mono: NDArray[np.float64], start: int, stop: int) -> Beep:
    """The threshold is crossed when a quarter of the span holds full sound; the ramp shifts it by half its length."""
    onset = start if start == 0 else start + _SPAN // 4 - RAMP_SAMPLES // 2
    inner = mono[start + RAMP_SAMPLES : min(stop, start + BEEP_SAMPLES) - RAMP_SAMPLES]
    return Beep(onset, stop, _pitch(inner) if len(inner) >= 960 else 0.0)


def _pitch(mono: NDArray[np.float64]) -> float:
    size = 1 << 16
    spectrum = np.abs(np.fft.rfft(mono * np.hanning(len(mono)), size))
    return float(spectrum.argmax() * SAMPLE_RATE_HZ / size)
