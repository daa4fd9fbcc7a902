"""The word a card shows in every frame: which frame of which video, readable under heavy noise.

A word is 32 bits: 20 of the frame's number in its take, scrambled so that neighbours differ in half their bits; 8 of a
check mixed with one byte of the video's tag; 4 that tell the strip from other pictures and carry the flash. The tag has
32 bits and goes out one byte a frame, so four frames in a row name the video. numpy only; knows nothing of pixels.
"""

from __future__ import annotations

import zlib
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

COUNTER_BITS = 20
CHECK_BITS = 8
#: Counters live modulo this: four hours and more at 60 frames a second.
PERIOD = 1 << COUNTER_BITS
SCRAMBLE = 0x9E377  # odd, so it has an inverse; near the golden ratio, so every bit moves early
UNSCRAMBLE = pow(SCRAMBLE, -1, PERIOD)
#: The flash is lit this long after each whole second.
FLASH_S = Fraction(1, 10)
#: How many frames it takes to say a whole tag.
TAG_BYTES = 4

#: First two of the four last bits, by strip.
COARSE_SYNC = (1, 0)
FINE_SYNC = (0, 1)

Ints = NDArray[np.int64]
Bits = NDArray[np.uint8]


def tag_of(label: str) -> int:
    """The 32-bit tag of a video id."""
    return zlib.crc32(label.encode())


def tag_byte(tag: int, counters: Ints) -> Ints:
    """The byte of ``tag`` that goes out with each counter."""
    return (tag >> (8 * (counters % TAG_BYTES))) & 0xFF


def check_byte(counters: Ints) -> Ints:
    """A check that is not linear in the counter: a misread counter gives a check that fits no constant tag."""
    mixed = ((counters % PERIOD) * 0x9E3779B1) & 0xFFFFFFFF
    mixed ^= mixed >> 15
    mixed = (mixed * 0x85EBCA6B) & 0xFFFFFFFF
    return mixed >> 24


def is_flash(frame_idx: int, frame_rate: Fraction) -> bool:
    """True for frames that begin in [k, k + 0.1) s for a whole k, and for the first frame at or after each k."""
    return into_second(frame_idx, frame_rate) < FLASH_S or _is_first_of_second(frame_idx, frame_rate)


def into_second(frame_idx: int, frame_rate: Fraction) -> Fraction:
    """Seconds from the last whole second to the frame's start."""
    return (frame_idx / frame_rate) % 1


def _is_first_of_second(frame_idx: int, frame_rate: Fraction) -> bool:
    return frame_idx == 0 or (frame_idx - 1) // frame_rate < frame_idx // frame_rate


def words(counters: Ints, tag: int, *, sync: tuple[int, int], frame_rate: Fraction) -> Bits:
    """Bits [n, 32] of the frames with these numbers."""
    code = (counters * SCRAMBLE) % PERIOD
    check = check_byte(counters) ^ tag_byte(tag, counters)
    flash = np.array([is_flash(int(n) % PERIOD, frame_rate) for n in counters], np.uint8)[:, None]
    marks = np.broadcast_to(np.array(sync, np.uint8), (len(counters), 2))
    return np.concatenate([to_bits(code, COUNTER_BITS), to_bits(check, CHECK_BITS), marks, flash, flash], axis=1)


def to_bits(values: Ints, num_bits: int) -> Bits:
    """Most significant bit first, [n, num_bits]."""
    return ((values[:, None] >> np.arange(num_bits - 1, -1, -1)) & 1).astype(np.uint8)


def from_bits(bits: Bits) -> Ints:
    """The inverse of ``to_bits``."""
    weights = 1 << np.arange(bits.shape[1] - 1, -1, -1, dtype=np.int64)
    return bits.astype(np.int64) @ weights


def counters_of(bits: Bits) -> Ints:
    """Frame numbers said by words [n, 32]."""
    return (from_bits(bits[:, :COUNTER_BITS]) * UNSCRAMBLE) % PERIOD


def tag_bytes_of(bits: Bits) -> Ints:
    """The tag byte each word says, given its own counter."""
    check = from_bits(bits[:, COUNTER_BITS : COUNTER_BITS + CHECK_BITS])
    return check ^ check_byte(counters_of(bits))
