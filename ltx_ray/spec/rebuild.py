"""Recipes and other dataclasses back from their canonical form, once JSON has read it.

Follows the types of the fields, so a recipe that gains a field is read back without a line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from fractions import Fraction
from functools import lru_cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from ltx_ray.spec.recipe import Recipe
from ltx_ray.spec.stages import SPECS, Stage


def rebuilt_recipe(stage: Stage, plain: Mapping[str, Any]) -> Recipe:
    """The recipe of a task of this stage.

    Raises:
        ValueError: no recipe of the stage has these fields.
    """
    for kind in SPECS[stage].recipes:
        if _required(kind) <= plain.keys() <= {field.name for field in fields(kind)}:
            try:
                recipe: Recipe = _rebuilt(kind, plain)
            except (TypeError, KeyError, ZeroDivisionError) as error:
                raise ValueError(f"{kind.__name__}: {error}") from error
            return recipe
    raise ValueError(f"no recipe of {stage} has the fields {', '.join(plain)}")


def _required(kind: Any) -> set[str]:
    """Fields that are always written."""
    return {field.name for field in fields(kind) if field.default is MISSING}


def rebuilt(kind: type, plain: Any) -> Any:
    """A value of a dataclass.

    Raises:
        TypeError, KeyError, ValueError, IndexError, ZeroDivisionError: it has not these fields.
    """
    return _rebuilt(kind, plain)


def _rebuilt(kind: Any, plain: Any) -> Any:
    """``plain`` as a value of this type."""
    if plain is None:
        return None
    if get_origin(kind) in (Union, UnionType):
        kind = _arm([arm for arm in get_args(kind) if arm is not type(None)], plain)
    if kind is Fraction:
        return Fraction(*plain["fraction"])
    if isinstance(kind, type) and is_dataclass(kind):
        return kind(**{name: _rebuilt(_hints(kind)[name], value) for name, value in plain.items()})
    if get_origin(kind) is tuple:
        return tuple(_rebuilt(item, value) for item, value in zip(_items(kind, plain), plain, strict=True))
    if hasattr(kind, "_fields"):  # a NamedTuple; a field that was added later has its default
        return kind(*(_rebuilt(_hints(kind)[kind._fields[idx]], value) for idx, value in enumerate(plain)))
    return plain


def _arm(arms: list[Any], plain: Any) -> Any:
    """Which type of a union this is: the only one, or the one whose field ``kind`` says so."""
    if len(arms) == 1:
        return arms[0]
    return {_hints(arm)["kind"].__args__[0]: arm for arm in arms}[plain["kind"]]


def _items(kind: Any, plain: list[Any]) -> list[Any]:
    """The type of each item of a tuple."""
    first, *others = get_args(kind)
    return [first] * len(plain) if others == [...] else [first, *others]


@lru_cache(maxsize=64)
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)
