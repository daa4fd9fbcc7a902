"""Keys: what an artifact is called before it exists.

A key covers the schema, the stage and its version, the whole recipe and the parents' keys in order with their roles.
Canonical JSON: sorted names, no spaces, ASCII, no NaN; a Fraction is tagged so that it cannot equal a list of numbers.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, is_dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

from ltx_ray.spec.recipe import Recipe
from ltx_ray.spec.task import STAGE_VERSIONS, Parent, Stage

KEY_SCHEMA = 1  # raised when the meaning of a recipe field changes; every key changes with it


def artifact_key(stage: Stage, recipe: Recipe, parents: tuple[Parent, ...]) -> str:
    """Hex sha256 of (schema, stage, stage version, recipe, parents)."""
    preimage = ["ltx-ray", KEY_SCHEMA, stage, STAGE_VERSIONS[stage], recipe, parents]
    return hashlib.sha256(canonical(preimage).encode("ascii")).hexdigest()


def digest_of(value: object) -> str:
    """Hex sha256 of a value's canonical text; for things that are compared, never looked up."""
    return hashlib.sha256(canonical(value).encode("ascii")).hexdigest()


def plain(value: Any) -> Any:
    """A dataclass as the dict its canonical text spells, for diffs and files."""
    return json.loads(canonical(value))


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
