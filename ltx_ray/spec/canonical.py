"""The one text form of a value: what is hashed, compared and written to files.

Canonical JSON: sorted names, no spaces, ASCII, floats as Python writes them, no NaN. A Fraction is tagged so that it
cannot equal anything else. Keys and the comment tags of finished files are made of this text, so it must never change
for a value that has had one. That is why it is composed here: JSON libraries that are faster write floats differently
from one version to the next, and NaN as null.

A field that is added to a class later (``later``) is left out of the text wherever it stands at its default, so an
option that nobody sets changes no key and no file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, field, fields, is_dataclass
from fractions import Fraction
from json.encoder import encode_basestring_ascii
from typing import Any, NoReturn, TypeVar

_T = TypeVar("_T")
#: ``canonical`` of what is known to be a string.
text: Callable[[str], str] = encode_basestring_ascii


def later(default: _T, *, since: int) -> _T:
    """A field of a dataclass whose values had a text before the field was there.

    ``since`` is the key schema (``plan.keys``) that it came under. Once that has risen, every key is another one anyway
    and the field may become an ordinary one.
    """
    return field(default=default, metadata={"since": since})


class Shared:
    """Base of frozen dataclasses whose values are parts of many others: a text is composed once, and kept with it."""

    __slots__ = ("_text",)
    _text: str


def canonical(value: object) -> str:
    """The text of a value.

    Raises:
        ValueError: it holds NaN or an infinity.
        TypeError: it holds something else that has no text, or a field is declared ``since`` and has no default.
    """
    return _WRITERS[type(value)](value)


class _Writers(dict[type, Callable[[Any], str]]):
    """How values are written, by class; a class that is not listed is entered when the first of its values comes."""

    def __missing__(self, cls: type) -> Callable[[Any], str]:
        if is_dataclass(cls):
            self[cls] = _kept(_writer_of(cls)) if issubclass(cls, Shared) else _writer_of(cls)
        else:
            self[cls] = next((self[base] for base in cls.__mro__ if base in self), _refuse)
        return self[cls]


def _writer_of(cls: Any) -> Callable[[object], str]:
    """How values of a dataclass are written.

    Its fields are compiled into one expression, as dataclasses compile their methods: it takes two thirds of the time
    of a loop, and this is most of what planning does.
    """
    defaults = {each.name: _default(cls, each) for each in fields(cls) if "since" in each.metadata}
    expressions = []
    for name in sorted(each.name for each in fields(cls)):
        text_of = f"f'\"{name}\":{{writers[type(value.{name})](value.{name})}}'"
        if name in defaults:
            text_of = f"None if value.{name} is defaults['{name}'] or is_default(value, '{name}') else {text_of}"
        expressions.append(f"{text_of},")

    def is_default(value: object, name: str) -> bool:
        own, default = getattr(value, name), defaults[name]
        return type(own) is type(default) and own == default

    names = {"writers": _WRITERS, "defaults": defaults, "is_default": is_default}
    parts_of = eval(f"lambda value: ({''.join(expressions)})", names)

    def write(value: object) -> str:
        parts = parts_of(value)
        return "{" + ",".join([part for part in parts if part is not None] if defaults else parts) + "}"

    return write


def _default(cls: type, added: Field[Any]) -> Any:
    if added.default is MISSING:
        raise TypeError(f"{cls.__name__}.{added.name}: is declared since={added.metadata['since']} without a default")
    return added.default


def _kept(write: Callable[[Any], str]) -> Callable[[Shared], str]:
    """``write``, asked once for each object."""

    def write_once(value: Shared) -> str:
        try:
            return value._text
        except AttributeError:
            object.__setattr__(value, "_text", write(value))
            return value._text

    return write_once


def _float(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError(f"Out of range float values are not JSON compliant: {value!r}")
    return float.__repr__(value)


def _fraction(value: Fraction) -> str:
    return f'{{"fraction":[{value.numerator},{value.denominator}]}}'


def _sequence(values: Sequence[object]) -> str:
    return "[" + ",".join([_WRITERS[type(value)](value) for value in values]) + "]"


def _mapping(values: Mapping[str, object]) -> str:
    parts = [text(name) + ":" + _WRITERS[type(value)](value) for name, value in sorted(values.items())]
    return "{" + ",".join(parts) + "}"


def _refuse(value: object) -> NoReturn:
    raise TypeError(f"{type(value).__name__} has no canonical form")


_WRITERS = _Writers(
    {
        type(None): lambda value: "null",
        bool: lambda value: "true" if value else "false",
        int: int.__repr__,
        float: _float,
        str: text,
        Fraction: _fraction,
        tuple: _sequence,
        list: _sequence,
        dict: _mapping,
    }
)
