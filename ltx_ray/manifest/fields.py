"""Rules of single values: each function takes what was written and returns what it means, or raises ``Wrong``.

They know nothing of other fields, of models or of where the value stands; the text of ``Wrong`` is half of a sentence
whose other half is the place.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ltx_ray.manifest.problems import nearest, shown
from ltx_ray.spec.codecs import Setting
from ltx_ray.spec.names import why_unnameable
from ltx_ray.spec.places import is_uri, why_no_place
from ltx_ray.spec.redact import redact

Rule = Callable[[object], Any]
#: What JSON Schema says of the values that a rule takes.
Schema = dict[str, Any]
_SAID: dict[Rule, Schema] = {}

MAX_ID_CHARS = 120
MAX_PROMPT_CHARS = 10_000
MAX_STEPS = 1000
MAX_BLOCKS = 1000

_CROP = re.compile(r"([0-9]{1,5})x([0-9]{1,5})")


class Wrong(ValueError):
    """A value that breaks its rule."""


def said(rule: Rule, schema: Schema) -> Rule:
    """``rule``, of whose values ``schema`` is said."""
    _SAID[rule] = schema
    return rule


def says(schema: Schema) -> Callable[[Rule], Rule]:
    """Decorator: as ``said``."""
    return lambda rule: said(rule, schema)


def schema_of(rule: Rule) -> Schema:
    """What is said of a rule's values. Raises KeyError: nothing is."""
    return _SAID[rule]


def whole(least: int, most: int, what: str = "a whole number") -> Rule:
    """A rule for integers in [least, most]."""

    def rule(value: object) -> int:
        if type(value) is int:
            if least <= value <= most:
                return value
            raise Wrong(f"{shown(value)} is not {what} between {least} and {most}")
        if type(value) is float and math.isfinite(value) and value == int(value):
            raise Wrong(f"{value} is not {what}; write {int(value)}")
        if type(value) is float and math.isfinite(value):
            raise Wrong(f"{value} is not {what}; nearest are {math.floor(value)} and {math.ceil(value)}")
        check_number(value, what)
        raise Wrong(f"{shown(value)} is not {what}")

    return said(rule, {"type": "integer", "minimum": least, "maximum": most})


def number(least: float, most: float, what: str) -> Rule:
    """A rule for numbers in [least, most], integers as floats."""

    def rule(value: object) -> float:
        check_number(value, what)
        assert isinstance(value, int | float)
        if least <= value <= most:
            return value + 0.0  # 3, 3.0 and -0.0, 0.0 are one value
        nearest_is = least if value < least else most
        raise Wrong(f"{shown(value)} is not {what} between {least:g} and {most:g}; nearest is {nearest_is:g}")

    return said(rule, {"type": "number", "minimum": least, "maximum": most})


def check_number(value: object, what: str) -> None:
    """Raise Wrong unless ``value`` is a finite int or float (a bool is neither)."""
    if type(value) is int:
        return
    if type(value) is float:
        if math.isfinite(value):
            return
        raise Wrong(f"{value} is not {what}")
    if isinstance(value, str) and _is_numeral(value):
        raise Wrong(f"{shown(value)} is text, not {what}; write it without quotes")
    raise Wrong(f"{shown(value)} is not {what}{_leave_out(value)}")


def one_of(what: str, choices: Sequence[str]) -> Rule:
    """A rule for one word of a closed set."""

    def rule(value: object) -> str:
        if isinstance(value, str) and value in choices:
            return value
        if not isinstance(value, str):
            raise Wrong(f"{shown(value)} is not {what}; it can be {', '.join(choices)}")
        raise Wrong(f"{shown(value)} is not {what}; {nearest(value, choices)}")

    return said(rule, {"enum": list(choices)})


def use_of(what: str, choices: Sequence[str]) -> Rule:
    """``one_of`` where ``off`` is among the words, which YAML takes for false."""
    rule = one_of(what, choices)
    schema = {"enum": [*choices, False, None]}
    return said(lambda value: rule("off" if value is False or value is None else value), schema)


def some_of(what: str, choices: Sequence[str]) -> Rule:
    """A rule for a list of words of a closed set, or for one of them; in the order of the set."""
    each = one_of(f"one of the {what}", choices)

    def rule(value: object) -> tuple[str, ...]:
        given = value if isinstance(value, list) else [value]
        if not given:
            raise Wrong(f"[] names none of the {what}; they are {', '.join(choices)}")
        named = {each(word) for word in given}
        return tuple(choice for choice in choices if choice in named)

    return said(rule, {"anyOf": [schema_of(each), {"type": "array", "items": schema_of(each), "minItems": 1}]})


def setting(*settings: Setting[Any] | None) -> Rule:
    """A rule for what at least one of these settings takes, all of a kind; None takes nothing."""
    there = [each for each in settings if each is not None]
    what, choices = there[0].what, [each.choices for each in there]
    if isinstance(choices[0], range):
        return whole(min(numbers[0] for numbers in choices), max(numbers[-1] for numbers in choices), what)
    return one_of(what, tuple(dict.fromkeys(itertools.chain.from_iterable(choices))))


def text(what: str) -> Rule:
    """A rule for a word whose meaning is checked later, when everything is known."""

    def rule(value: object) -> str:
        if isinstance(value, str) and value:
            check_unicode(value)
            return value
        raise Wrong(f"{shown(value)} is not {what}{_leave_out(value)}")

    return said(rule, {"type": "string", "minLength": 1})


@says({"type": "string", "minLength": 1})
def local_path(value: object) -> str:
    """A file of this machine; whether it is there is looked at later. ``~`` and ``file://`` are filled in."""
    path = plain_path(text("a path")(value))
    if "://" in path:
        raise Wrong(f"{shown(path)} is not on this machine; download it and write its path")
    check_unicode(path)
    if (why := why_unnameable(path)) is not None:
        raise Wrong(f"{shown(path)} {why}")
    return str(path)


def plain_path(path: str) -> str:
    """What ``file:///a/b%20c`` and ``~/b`` name, as a path; other text as it is."""
    if path.lower().startswith("file:"):
        url = urlsplit(path)
        if url.netloc not in ("", "localhost") or not url.path.startswith("/"):
            raise Wrong(f"{shown(path)} is not on this machine; write file:///folder/file, or the path alone")
        return unquote(url.path)
    try:
        return str(Path(path).expanduser()) if path.startswith("~") else path
    except RuntimeError:
        raise Wrong(f"{shown(path)} names a home that is not known here; write the path from /") from None


@says({"type": "string", "minLength": 1})
def destination(value: object) -> str:
    """A directory of this machine, or the URI of a file system elsewhere; without a slash at its end."""
    given = text("a directory or a URI")(value)
    if redact(given, {}) != given:  # it would be written into plans, journals and messages
        raise Wrong("holds a user, a password or a key; put them into the environment or the configuration of fsspec")
    place = plain_path(given)
    why = why_no_place(place, "a directory or a URI such as s3://bucket/films") or why_unnameable(place)
    if why is not None:
        raise Wrong(f"{shown(place)} {why}")
    if is_uri(place) and not place.partition("://")[2].strip("/"):
        raise Wrong(f"{shown(place)} names nothing after ://; write such as s3://bucket/films")
    if not is_uri(place) and not place.startswith("/"):
        raise Wrong(f"{shown(place)} is relative; write a path that starts with /, or a URI such as s3://bucket/films")
    return place.rstrip("/") or "/"


_COLOURS = {"black": (0, 0, 0), "white": (255, 255, 255), "grey": (128, 128, 128), "gray": (128, 128, 128)}
_HEX_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@says({"anyOf": [{"enum": ["black", "white", "grey", "gray"]}, {"type": "string", "pattern": "^#[0-9a-fA-F]{6}$"}]})
def colour(value: object) -> tuple[int, int, int]:
    """Levels of red, green and blue: a name, or ``"#rrggbb"``."""
    if isinstance(value, str) and value.lower() in _COLOURS:
        return _COLOURS[value.lower()]
    if not isinstance(value, str) or not _HEX_COLOUR.fullmatch(value):
        raise Wrong(f"{shown(value)} is not a colour; write black, white, grey or one such as '#20a0ff' in quotes")
    red, green, blue = bytes.fromhex(value[1:])
    return red, green, blue


@says({"type": "boolean"})
def true_or_false(value: object) -> bool:
    if type(value) is bool:
        return value
    raise Wrong(f"{shown(value)} is not true or false")


def or_null(rule: Rule) -> Rule:
    """A rule that also takes null, which means the default."""
    schema = {"anyOf": [schema_of(rule), {"type": "null"}]}
    return said(lambda value: None if value is None else rule(value), schema)


def word_or(name: str, rule: Rule) -> Rule:
    """A rule that also takes one word, as it is."""
    schema = {"anyOf": [schema_of(rule), {"const": name}]}
    return said(lambda value: name if value == name else rule(value), schema)


@says({"type": "string", "minLength": 1, "maxLength": MAX_PROMPT_CHARS})
def prompt(value: object) -> str:
    """Any text with something to read in it, kept exactly as written."""
    if not isinstance(value, str):
        raise Wrong(f"{shown(value)} is not text; write the prompt in quotes")
    if not value.strip():
        raise Wrong("is empty; say what to show")
    if len(value) > MAX_PROMPT_CHARS:
        raise Wrong(f"has {len(value)} characters; at most {MAX_PROMPT_CHARS} are read")
    check_unicode(value)
    return value


@says({"type": "string", "maxLength": MAX_PROMPT_CHARS})
def negative_prompt(value: object) -> str:
    """Any text, kept exactly as written; empty is a negative prompt too."""
    return prompt(value) if value != "" else ""


@says({"type": "string", "minLength": 1, "maxLength": MAX_ID_CHARS, "pattern": r"^[^/\\.][^/\\]*$"})
def video_id(value: object) -> str:
    """A name that can be part of a file name: 1 to 120 characters, no slash, no leading dot."""
    if not isinstance(value, str):
        raise Wrong(f"{shown(value)} is not text; write it in quotes")
    if not 1 <= len(value) <= MAX_ID_CHARS:
        raise Wrong(f"has {len(value)} characters; an id has 1 to {MAX_ID_CHARS}")
    if not value.isprintable():
        raise Wrong(f"{shown(value)} has a character that cannot be printed; use letters, digits, - and _")
    if "/" in value or "\\" in value:
        raise Wrong(f"{shown(value)} has a slash; put folders into output.path")
    if value[0] == "." or value != value.strip():
        raise Wrong(f"{shown(value)} starts with a dot or has space around it; leave it off")
    return value


@says({"anyOf": [{"type": "string", "pattern": "^[0-9]{1,5}x[0-9]{1,5}$"}, {"type": "null"}]})
def crop(value: object) -> tuple[int, int] | None:
    """``WIDTHxHEIGHT`` in pixels, both even; null = the whole frame."""
    if value is None:
        return None
    match = _CROP.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise Wrong(f"{shown(value)} is not a size; write 1080x1920")
    width, height = int(match[1]), int(match[2])
    if width < 2 or height < 2 or width % 2 or height % 2:
        even = f"{max(2, width // 2 * 2)}x{max(2, height // 2 * 2)}"
        raise Wrong(f"{value} is odd, and colour is stored for pairs of pixels; nearest is {even}")
    return width, height


@says({"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}, "minItems": 2, "maxItems": MAX_STEPS})
def sigmas(value: object) -> tuple[float, ...]:
    """Noise levels: from at most 1.0, each less than the one before, the last 0."""
    if not isinstance(value, list) or not 2 <= len(value) <= MAX_STEPS:
        raise Wrong(
            f"{shown(value)} is not a list of 2 to {MAX_STEPS} noise levels such as [1.0, 0.725, 0.421875, 0.0]"
        )
    for level in value:
        check_number(level, "a noise level")
    if any(later >= earlier for earlier, later in itertools.pairwise(value)):
        raise Wrong(f"{shown(value)} does not descend; each noise level is less than the one before")
    if value[0] > 1 or value[-1] != 0:
        raise Wrong(f"{shown(value)} does not go from at most 1.0 to 0.0; noise levels end in 0.0")
    return tuple(level + 0.0 for level in value)  # 0, -0.0 and 0.0 are one value


_block = whole(0, MAX_BLOCKS - 1, "a block")


@says({"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": MAX_BLOCKS})
def blocks(value: object) -> tuple[int, ...]:
    """Blocks of a transformer, counted from 0, each once; their order means nothing."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_BLOCKS:
        raise Wrong(f"{shown(value)} is not a list of blocks such as [28]")
    read = tuple(sorted(map(_block, value)))
    if len(set(read)) != len(read):
        raise Wrong(f"{shown(value)} names a block twice; name each once")
    return read


def check_unicode(value: str) -> None:
    """Raise Wrong for half of a surrogate pair or a NUL, which no file can hold."""
    if "\0" in value:
        raise Wrong("has a NUL character; take it out")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise Wrong(f"has half a character at position {error.start}; the text is damaged") from None


def _is_numeral(value: str) -> bool:
    return re.fullmatch(r"\s*[-+]?[0-9.]+(e[-+]?[0-9]+)?\s*", value, re.IGNORECASE) is not None


def _leave_out(value: object) -> str:
    return "; leave the key out for its default" if value is None else ""
