"""``sweep: {seed: [7, 8]}``: every video once for every combination of the listed values."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from ltx_ray.manifest.keys import DEFAULTS, VIDEO
from ltx_ray.manifest.problems import BAD, Layer, Problems, shown
from ltx_ray.manifest.tables import read_layer

MAX_COMBINATIONS = 10_000

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._]+")


class Combination(NamedTuple):
    """``suffix`` is what it adds to an id: ``-seed7-draft``."""

    suffix: str
    layer: Layer | None

    @property
    def keys(self) -> tuple[str, ...]:
        return () if self.layer is None else tuple(self.layer.values)


NO_SWEEP = (Combination("", None),)


def read_sweep(raw: object, layer: Layer, problems: Problems) -> tuple[Combination, ...]:
    """Every combination, the last key changing fastest; problems are noted at ``layer``."""
    if not isinstance(raw, dict):
        problems.add(layer, "", f"{shown(raw)} is not a mapping from keys to lists of values")
        return NO_SWEEP
    flat = _dotted(raw)
    for first, second in DEFAULTS.pairs:
        if first in flat and second in flat:
            problems.add(layer, second, f"is swept beside {first.rpartition('.')[2]}; keep one of them")
    axes = [_axis(key, values, layer, problems) for key, values in flat.items()]
    if math.prod(map(len, axes)) > MAX_COMBINATIONS:
        what = f"makes {math.prod(map(len, axes)):,} combinations; at most {MAX_COMBINATIONS:,}"
        problems.add(layer, "", what)
        return NO_SWEEP
    return tuple(_combined(parts, layer) for parts in itertools.product(*filter(None, axes)))


def _dotted(raw: Mapping[str, object]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in raw.items():
        if key in DEFAULTS.groups and isinstance(value, dict):
            flat |= _dotted({f"{key}.{name}": inner for name, inner in value.items()})
        else:
            flat[key] = value
    return flat


def _axis(key: str, values: object, layer: Layer, problems: Problems) -> list[Combination]:
    """The values of one key, each as a layer of its own."""
    if not isinstance(values, list) or not values:
        problems.add(layer, key, f"{shown(values)} is not a list of values")
        return []
    axis = [_point(key, value, position, layer, problems) for position, value in enumerate(values, 1)]
    suffixes = [point.suffix for point in axis]
    for suffix in dict.fromkeys(suffix for suffix in suffixes if suffixes.count(suffix) > 1):
        problems.add(layer, key, f"{shown(values[suffixes.index(suffix)])} is listed twice, or like another value")
    return axis


def _point(key: str, value: object, position: int, layer: Layer, problems: Problems) -> Combination:
    layer.values.setdefault(key, BAD)  # keeps the order of the keys for problems
    order = (*layer.order, layer.position(key))
    point = read_layer({key: value}, Layer(layer.prefix, order), problems, DEFAULTS)
    word = _NOT_IN_A_NAME.sub("_", str(value)) if isinstance(value, str | int | float) else ""
    named = word if word.strip("_") and len(word) <= 20 and not _is_numbered(key) else str(position)
    speaks_for_itself = isinstance(value, str) and named == value
    return Combination(f"-{'' if speaks_for_itself else key.rpartition('.')[2]}{named}", point)


def _is_numbered(key: str) -> bool:
    """Whether values of a key stand in ids as their position: texts of a video, and files wherever they are."""
    return key in VIDEO.literals or VIDEO.text_of(key) in ("path", "weights")


def _combined(parts: tuple[Combination, ...], layer: Layer) -> Combination:
    values = {key: value for part in parts if part.layer for key, value in part.layer.values.items()}
    return Combination("".join(part.suffix for part in parts), Layer(layer.prefix, layer.order, values))
