"""The words a latent carries, so that a decoder which sees nothing else can write them on the picture.

Bytes as half bytes: sixteen levels in [-1, 1] per channel, far enough apart to outlive any float format.
What does not fit is cut with an ellipsis. Every latent frame carries the whole caption.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

_HEADER = struct.Struct(">BIIHBHI")  # stage, rate numerator, denominator, hue, label bytes, prompt bytes, crc32
_ELLIPSIS = "\u2026"


@dataclass(frozen=True, slots=True)
class Caption:
    stage: Literal[1, 2]
    frame_rate: Fraction
    hue: int  #: [0, 360), where the palette starts
    label: str
    prompt: str


def to_levels(caption: Caption, capacity: int) -> NDArray[np.float32]:
    """Levels [capacity] in [-1, 1]; each byte takes two."""
    room = capacity // 2 - _HEADER.size
    label = _cut(caption.label, min(255, room))
    prompt = _cut(caption.prompt, min(65535, room - len(label)))
    rate = caption.frame_rate
    fields = (caption.stage, rate.numerator, rate.denominator, caption.hue, len(label), len(prompt))
    head = _HEADER.pack(*fields, zlib.crc32(label + prompt))
    octets = np.frombuffer(head + label + prompt, np.uint8)
    levels = np.zeros(capacity, np.float32)
    levels[: 2 * len(octets)] = np.stack([octets >> 4, octets & 15], axis=1).ravel() / np.float32(7.5) - 1
    return levels


def from_levels(levels: NDArray[np.float32]) -> Caption | None:
    """The caption, or None where there is none: re-encoded pictures carry no words."""
    halves = np.clip(np.rint((levels[: len(levels) // 2 * 2] + 1) * 7.5), 0, 15).astype(np.uint8)
    octets = ((halves[0::2] << 4) | halves[1::2]).tobytes()
    stage, numerator, denominator, hue, label_len, prompt_len, crc = _HEADER.unpack_from(octets)
    text = octets[_HEADER.size : _HEADER.size + label_len + prompt_len]
    if zlib.crc32(text) != crc or stage not in (1, 2) or not numerator or not denominator:
        return None
    label, prompt = (part.decode("utf-8", "replace") for part in (text[:label_len], text[label_len:]))
    return Caption(stage, Fraction(numerator, denominator), hue % 360, label, prompt)


def _cut(text: str, num_bytes: int) -> bytes:
    octets = text.encode("utf-8", "replace")
    if len(octets) <= num_bytes:
        return octets
    room = max(0, num_bytes - len(_ELLIPSIS.encode()))
    return octets[:room].decode("utf-8", "ignore").encode() + _ELLIPSIS.encode()[: num_bytes - room]
