"""Exact numbers: frame rates and seconds are ``Fraction``s read from what was written, never from binary floats."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from ltx_ray.manifest.fields import Wrong, check_number, says
from ltx_ray.manifest.problems import shown

#: Rates of which everybody writes decimals, in two digits or more, cut off or rounded, and nobody means them.
BROADCAST_RATES = tuple(Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 96, 120))
MIN_RATE, MAX_RATE = 1, 120
MAX_SECONDS = 86_400
MAX_RANGES = 1000
_PAIR = {"type": "array", "items": {"type": "number", "minimum": 0}, "minItems": 2, "maxItems": 2}
#: The clock of a movie file ticks a whole number of times a second, in 32 bits.
MAX_NUMERATOR = 1_000_000

_DECIMAL = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{1,20})?)\s*")
_MOMENT = re.compile(r"([0-9]{1,8})(\.[0-9]{1,9})?\s*(s)?")
_RATIO = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")


@says(
    {
        "anyOf": [
            {"type": "number", "minimum": MIN_RATE, "maximum": MAX_RATE},
            {"type": "string", "pattern": "^[0-9./ ]+$"},
        ]
    }
)
def frame_rate(value: object) -> Fraction:
    """Frames a second: ``24``, ``12.5``, ``"24000/1001"``; 23.976 and its kin mean n*1000/1001. Text is as good."""
    if isinstance(value, str):
        decimal = _DECIMAL.fullmatch(value)
        return _checked(value, _from_decimal(decimal[1]) if decimal else _from_ratio(value))
    check_number(value, "a frame rate")
    return _checked(value, _from_decimal(repr(value)))


def broadcast_meaning(value: object) -> str | None:
    """What a decimal such as 23.976 really stands for, when it is not what it says."""
    text = value.strip() if isinstance(value, str) else repr(value)
    meant = _broadcast(text) if _DECIMAL.fullmatch(text) else None
    return None if meant is None else f"{text} means {meant}"


@says({"type": "number", "exclusiveMinimum": 0, "maximum": MAX_SECONDS})
def seconds(value: object) -> Fraction:
    """A duration: more than 0, at most a day."""
    check_number(value, "a number of seconds")
    exact = _exact(value)
    if not 0 < exact <= MAX_SECONDS:
        raise Wrong(f"{shown(value)} is not a duration; it can be more than 0 and at most {MAX_SECONDS} seconds")
    return exact


@says({"type": "number", "minimum": 0, "maximum": MAX_SECONDS})
def offset(value: object) -> Fraction:
    """A time from the beginning of a file: from 0 on, at most a day."""
    check_number(value, "a number of seconds")
    exact = _exact(value)
    if not 0 <= exact <= MAX_SECONDS:
        raise Wrong(f"{shown(value)} is not a time; it can be 0 to {MAX_SECONDS} seconds")
    return exact


@says(
    {
        "anyOf": [
            {"enum": ["all", "none", None]},
            {"type": "array", "items": _PAIR, "minItems": 1, "maxItems": MAX_RANGES},
        ]
    }
)
def ranges(value: object) -> tuple[tuple[Fraction, Fraction], ...] | str:
    """Stretches of time ``[[2, 4], [7.5, 9]]`` in seconds, in order and apart; or ``none``, or ``all``."""
    if value == "all":
        return "all"
    if value in ("none", None):
        return ()
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_RANGES:
        raise Wrong(f"{shown(value)} is not none, all or a list of stretches such as [[2, 4]]")
    found: list[tuple[Fraction, Fraction]] = []
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2:
            raise Wrong(f"{shown(pair)} is not a stretch such as [2, 4], from and to in seconds")
        start, stop = map(offset, pair)
        if start >= stop:
            raise Wrong(f"{shown(pair)} ends before it begins; write [{shown(pair[1])}, {shown(pair[0])}]")
        if found and start < found[-1][1]:
            raise Wrong(f"{shown(pair)} begins before the stretch in front of it ends; put them in order and apart")
        found.append((start, stop))
    return tuple(found)


@says(
    {
        "anyOf": [
            {"type": "number", "minimum": 0},
            {"enum": ["first", "last"]},
            {"type": "string", "pattern": "^[0-9.]+ *s?$"},
        ]
    }
)
def moment(value: object) -> int | Fraction | str:
    """A place in time: a whole number is a frame from 0, a decimal or ``2.5s`` are seconds, ``first`` and ``last``."""
    if value in ("first", "last"):
        return str(value)
    told = value.strip() if isinstance(value, str) else repr(value)
    match = _MOMENT.fullmatch(told) if type(value) in (int, float, str) else None
    if match is None:
        raise Wrong(f"{shown(value)} is not a frame such as 48, seconds such as 2.5 or 2s, first or last")
    if match[2] is None and match[3] is None:
        return int(match[1])
    return Fraction(match[1] + (match[2] or ""))


def _from_ratio(text: str) -> Fraction:
    match = _RATIO.fullmatch(text.replace(" ", ""))
    if match is None:
        raise Wrong(f"{shown(text)} is not a frame rate; write 24, 23.976 or 24000/1001")
    if int(match[2]) == 0:
        raise Wrong(f"{shown(text)} divides by zero; write 24, 23.976 or 24000/1001")
    return Fraction(int(match[1]), int(match[2]))


@lru_cache(maxsize=256)
def _from_decimal(text: str) -> Fraction:
    return _broadcast(text) or Fraction(text)


@lru_cache(maxsize=256)
def _broadcast(text: str) -> Fraction | None:
    """The rate of n*1000/1001 that a decimal of two digits or more stands for: ``23.97``, ``23.98`` and ``23.976``."""
    step = Fraction(1, 10 ** len(text.partition(".")[2]))
    if step > Fraction(1, 100):
        return None
    near = (rate for rate in BROADCAST_RATES if abs(Fraction(text) - rate) < step)
    return next((rate for rate in near if rate != Fraction(text)), None)


@lru_cache(maxsize=4096, typed=True)
def _exact(value: float) -> Fraction:
    return Fraction(repr(value))


def _checked(value: object, rate: Fraction) -> Fraction:
    if not MIN_RATE <= rate <= MAX_RATE:
        raise Wrong(f"{shown(value)} is not a frame rate between {MIN_RATE} and {MAX_RATE}")
    if rate.numerator > MAX_NUMERATOR:
        raise Wrong(f"{shown(value)} is too fine for a movie clock; use fewer decimals or a ratio such as 24000/1001")
    return rate
