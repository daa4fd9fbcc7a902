"""Any number of channels to two, by where each of them stands.

One channel is heard on both sides and two stay as they are, bit for bit. More are mixed with these gains, left and
right, each row of which is then divided by the larger of the two sums of its magnitudes, if that is more than 1: no
sound within [-1, 1] leaves it.

    front left and right, one ear or a finished down-mix of a side           1 on its side
    front centre                                                            0.7071 on both
    side, back, top and wide channels of one side                           0.7071 on it
    back centre, and the middle of the ceiling or floor                     0.5 on both
    low frequency effects, and channels that say they are unused            0
    ambisonic sound                                                         two cardioids, to the left and to the right
    a channel of no known place                                             0.7071 on both

Where a layout holds a finished down-mix (DL, DR) beside other channels, that alone is heard. Channels without any name
are those of FFmpeg's default layout of their number, as players take them, up to 8; more are heard on both sides alike.

Source: ITU-R BS.775-4, annex 4, for 3/2 sound; the other places by its rule, 3 dB less for each step off the front.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np

_HALF_POWER = 1 / sqrt(2)
_FULL = ("FL", "FLC", "DL", "BIL")
_ASIDE = ("BL", "SL", "TFL", "TBL", "TSL", "WL", "SDL", "BFL", "SSL", "TTL")
_BEHIND = ("BC", "TC", "TFC", "TBC", "BFC")
_SILENT = ("LFE", "LFE2", "UNSD")


def _other_side(name: str) -> str:
    return "FRC" if name == "FLC" else f"{name[:-1]}R"


#: Name of a channel, as FFmpeg spells it -> its gains on the left and on the right, before the rows are brought to 1.
_GAINS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(_FULL, (1.0, 0.0)),
    **{_other_side(name): (0.0, 1.0) for name in _FULL},
    "FC": (_HALF_POWER, _HALF_POWER),
    **dict.fromkeys(_ASIDE, (_HALF_POWER, 0.0)),
    **{_other_side(name): (0.0, _HALF_POWER) for name in _ASIDE},
    **dict.fromkeys(_BEHIND, (0.5, 0.5)),
    **dict.fromkeys(_SILENT, (0.0, 0.0)),
    # The sphere's whole sound and its left-right part, in the order and normalisation of AmbiX.
    "AMBI0": (1.0, 1.0),
    "AMBI1": (1.0, -1.0),
}
_UNKNOWN = (_HALF_POWER, _HALF_POWER)
#: What FFmpeg takes so many channels without a name for.
_DEFAULTS = {
    3: ("FL", "FR", "LFE"),
    4: ("FL", "FR", "FC", "BC"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}
#: What FFmpeg calls a channel that has no name.
NAMELESS = "NONE"


def to_stereo(samples: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """``samples`` float32 [channels, n] as [2, n]; ``names`` holds one for each channel."""
    if len(samples) == 1:
        return samples.repeat(2, 0)
    if len(samples) == 2:
        return samples
    mixed = np.zeros((2, samples.shape[1]))
    # Added one after another and not as a product of matrices, whose last bits depend on the machine.
    for channel, gains in zip(samples, stereo_gains(names), strict=True):
        for side, gain in enumerate(gains):
            if gain:
                mixed[side] += gain * channel.astype(np.float64)
    return mixed.astype(np.float32)


def stereo_gains(names: Sequence[str]) -> list[tuple[float, float]]:
    """How loud each of more than two channels is on the left and on the right."""
    if all(name == NAMELESS for name in names):
        names = _DEFAULTS.get(len(names), names)
    if "DL" in names and "DR" in names:
        names = [name if name in ("DL", "DR") else "UNSD" for name in names]
    gains = [_gains(name) for name in names]
    loudest = max(1.0, *(sum(abs(gain[side]) for gain in gains) for side in (0, 1)))
    return [(left / loudest, right / loudest) for left, right in gains]


def _gains(name: str) -> tuple[float, float]:
    # Higher orders of ambisonic sound only sharpen what the first two channels say of left and right.
    return _GAINS.get(name, (0.0, 0.0) if name.startswith("AMBI") else _UNKNOWN)
