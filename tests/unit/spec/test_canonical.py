"""The text of every value is a promise: keys and the comment tags of finished files are made of it."""

import json
import pickle
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from fractions import Fraction
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltx_ray.spec.canonical import Shared, canonical, later


class Pair(NamedTuple):
    first: int
    second: object


class Kind(StrEnum):
    ONE = "one"


class Count(IntEnum):
    TWO = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Scales(Shared):
    cfg: float = 1.0
    stg: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    width: int
    scales: Scales = Scales()
    pieces: tuple[Pair, ...] = ()
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Empty:
    pass


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e15, "1000000000000000.0"),
        (1e16, "1e+16"),
        (1e-5, "1e-05"),
        (0.0001, "0.0001"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (2**63 - 1, "9223372036854775807"),
        (2**64, "18446744073709551616"),
        (-(10**40), "-10000000000000000000000000000000000000000"),
        (Fraction(24000, 1001), '{"fraction":[24000,1001]}'),
        (Fraction(10**30, 7), '{"fraction":[1000000000000000000000000000000,7]}'),
        ("é\u2028\U0001f98a", '"\\u00e9\\u2028\\ud83e\\udd8a"'),
        ("\ud800", '"\\ud800"'),
        ('"\\/\b\f\n\r\t\x00\x7f', '"\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u007f"'),
        (Kind.ONE, '"one"'),
        (Count.TWO, "2"),
        ((), "[]"),
        ([1, (2.5, "x")], '[1,[2.5,"x"]]'),
        (Pair(1, Pair(2, None)), "[1,[2,null]]"),
        ({}, "{}"),
        (OrderedDict(b=1, a={"é": 2, "z": 3}), '{"a":{"z":3,"\\u00e9":2},"b":1}'),
        (Empty(), "{}"),
        (Scales(cfg=3.0), '{"cfg":3.0,"stg":0.0}'),
        (
            Recipe(width=8, pieces=(Pair(0, 2),)),
            '{"label":null,"pieces":[[0,2]],"scales":{"cfg":1.0,"stg":0.0},"width":8}',
        ),
    ],
)
def test_the_text_of_a_value_never_changes(value, text):
    assert canonical(value) == text


@settings(max_examples=50)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=6,
    )
)
def test_what_json_can_say_is_written_as_pythons_json_does_and_read_back(value):
    assert canonical(value) == json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False)
    assert canonical(json.loads(canonical(value))) == canonical(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [-float("inf")], Scales(cfg=float("nan"))])
def test_what_is_not_a_number_has_no_text(value):
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical(value)


@pytest.mark.parametrize("value", [b"x", {1}, frozenset(), Recipe, 1j, {1: 2}, [object()]])
def test_what_json_cannot_say_is_refused(value):
    with pytest.raises(TypeError):
        canonical(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrownScales(Scales):
    apg: float = later(0.0, since=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown(Recipe):
    scales: GrownScales = GrownScales()
    guides: tuple[Pair, ...] = later((), since=2)
    rate: Fraction = later(Fraction(1), since=3)
    extra: GrownScales | None = later(None, since=3)
    first: GrownScales = later(GrownScales(stg=1.0), since=3)


def test_a_field_added_later_is_left_out_at_its_default():
    assert canonical(Grown(width=8)) == canonical(Recipe(width=8))
    assert canonical([{"a": Grown(width=8)}]) == canonical([{"a": Recipe(width=8)}])


@pytest.mark.parametrize(
    ("change", "written"),
    [
        ({"scales": GrownScales(apg=0.5)}, '"scales":{"apg":0.5,"cfg":1.0,"stg":0.0}'),
        ({"guides": (Pair(0, 1),)}, '"guides":[[0,1]]'),
        ({"rate": Fraction(2)}, '"rate":{"fraction":[2,1]}'),
        ({"rate": 1}, '"rate":1'),  # equal, and of another kind: its text is another one
        ({"extra": GrownScales()}, '"extra":{"cfg":1.0,"stg":0.0}'),
        ({"first": GrownScales(stg=2.0)}, '"first":{"cfg":1.0,"stg":2.0}'),
    ],
)
def test_a_field_added_later_is_written_where_it_is_set(change, written):
    text = canonical(Grown(width=8, **change))
    assert written in text
    assert text != canonical(Recipe(width=8))


def test_a_field_added_later_needs_a_default():
    @dataclass(frozen=True)
    class Odd:
        added: int = field(metadata={"since": 2})

    with pytest.raises(TypeError, match=r"Odd.added: is declared since=2 without a default"):
        canonical(Odd(added=1))


def test_a_text_that_is_kept_is_no_part_of_the_value():
    scales = Scales(cfg=3.0)
    text = canonical(scales)
    assert scales == Scales(cfg=3.0)
    assert hash(scales) == hash(Scales(cfg=3.0))
    assert canonical(replace(scales, cfg=4.0)) == '{"cfg":4.0,"stg":0.0}'
    assert canonical(pickle.loads(pickle.dumps(scales))) == text
