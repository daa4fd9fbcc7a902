"""Exact numbers: frame rates and seconds are ``Fraction``s read from what was written, never from binary floats."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from ltx_ray.manifest.fields import Wrong, check_number
from ltx_ray.manifest.problems import shown

#: Decimals that everybody writes and nobody means.
BROADCAST_RATES = {
    "23.976": Fraction(24000, 1001),
    "29.97": Fraction(30000, 1001),
    "59.94": Fraction(60000, 1001),
    "119.88": Fraction(120000, 1001),
}
MIN_RATE, MAX_RATE = 1, 120
MAX_SECONDS = 86_400
#: The clock of a movie file ticks a whole number of times a second, in 32 bits.
MAX_NUMERATOR = 1_000_000

_RATIO = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")


def frame_rate(value: object) -> Fraction:
    """Frames a second: ``24``, ``12.5``, ``"24000/1001"``; 23.976 and its kin mean n*1000/1001."""
    if isinstance(value, str):
        return _checked(value, _from_ratio(value))
    check_number(value, "a frame rate")
    return _checked(value, _from_number(value))


def broadcast_meaning(value: object) -> str | None:
    """What a decimal such as 23.976 really stands for, when it is not what it says."""
    if type(value) is not float:
        return None
    meant = BROADCAST_RATES.get(repr(value))
    return None if meant is None else f"{value} means {meant}"


def seconds(value: object) -> Fraction:
    """A duration: more than 0, at most a day."""
    check_number(value, "a number of seconds")
    exact = _exact(value)
    if not 0 < exact <= MAX_SECONDS:
        raise Wrong(f"{shown(value)} is not a duration; it can be more than 0 and at most {MAX_SECONDS} seconds")
    return exact


def _from_ratio(text: str) -> Fraction:
    match = _RATIO.fullmatch(text.replace(" ", ""))
    if match is None:
        raise Wrong(f"{shown(text)} is not a frame rate; write 24, 23.976 or 24000/1001")
    if int(match[2]) == 0:
        raise Wrong(f"{shown(text)} divides by zero; write 24, 23.976 or 24000/1001")
    return Fraction(int(match[1]), int(match[2]))


@lru_cache(maxsize=256, typed=True)
def _from_number(value: float) -> Fraction:
    return BROADCAST_RATES.get(repr(value)) or Fraction(repr(value))


@lru_cache(maxsize=4096, typed=True)
def _exact(value: float) -> Fraction:
    return Fraction(repr(value))


def _checked(value: object, rate: Fraction) -> Fraction:
    if not MIN_RATE <= rate <= MAX_RATE:
        raise Wrong(f"{shown(value)} is not a frame rate between {MIN_RATE} and {MAX_RATE}")
    if rate.numerator > MAX_NUMERATOR:
        raise Wrong(f"{shown(value)} is too fine for a movie clock; use fewer decimals or a ratio such as 24000/1001")
    return rate
