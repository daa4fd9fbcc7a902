"""The one text form of a value: what is hashed, diffed and written to files.

Canonical JSON: sorted names, no spaces, ASCII, no NaN. A Fraction is tagged so that it cannot equal anything else.
"""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=64)
def _names(cls: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cls))


def _encode(value: Any) -> Any:
    if isinstance(value, Fraction):
        return {"fraction": [value.numerator, value.denominator]}
    if is_dataclass(value) and not isinstance(value, type):
        return {name: getattr(value, name) for name in _names(type(value))}
    raise TypeError(f"{type(value).__name__} has no canonical form")


#: One encoder for all: making one costs as much as using it.
canonical = json.JSONEncoder(
    separators=(",", ":"), ensure_ascii=True, sort_keys=True, allow_nan=False, default=_encode
).encode
