"""Where values are written, and what is wrong with them.

A ``Layer`` is one place of a manifest that gives values: ``defaults``, one video, one argument of the command line.
Problems are kept with their place, so that they come out in file order however late a rule notices them, and once,
however many videos share a bad default.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any

from ltx_ray.errors import ManifestError, Problem


class _Bad:
    """The type of BAD, which reads as 0 where it would stand in a file name."""

    def __str__(self) -> str:
        return "0"


#: Stands for a value that was refused: rules that need it stay silent, the user has been told.
BAD: Any = _Bad()

#: Beyond this, more sentences help nobody; the last one says how many were left out.
MAX_PROBLEMS = 1000

#: Looking for the nearest word among more than these takes seconds.
MAX_CHOICES = 10_000


@dataclass(frozen=True, slots=True)
class Layer:
    """Values of one place, by dotted key, in the order written; ``prefix`` + key is how a problem names one."""

    prefix: str
    order: tuple[int, ...]  #: position of each part of the prefix in what holds it
    values: dict[str, Any] = field(default_factory=dict)

    def position(self, key: str) -> int:
        """Where ``key``, or the list or mapping it stands in, comes in this layer; missing keys come last."""
        keys = list(self.values)
        for name in (key, key.partition("[")[0], key.partition(".")[0]):
            if name in self.values:
                return keys.index(name)
        return len(keys)


class Problems:
    """Collects problems and raises them all at once; keeps the sentences a user should see though nothing is wrong."""

    def __init__(self) -> None:
        self._found: dict[Problem, tuple[int, ...]] = {}
        self._notes: dict[str, dict[str, None]] = {}
        self.num_told = 0  #: problems and notes so far, repeated ones as well

    def add(self, layer: Layer, key: str, what: str) -> None:
        """Note ``what`` is wrong with ``key`` of ``layer``; a second identical note changes nothing."""
        self.num_told += 1
        problem = Problem(printable((layer.prefix + key[:200]).rstrip(" .:")), printable(what))
        self._found.setdefault(problem, (*layer.order, layer.position(key)))

    def note(self, layer: Layer, key: str, what: str) -> None:
        """Keep a sentence for the user; the same ``what`` is said once, where it comes first, and how often more."""
        self.num_told += 1
        self._notes.setdefault(what, {})[f"{layer.prefix}{key}"] = None

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(
            f"{next(iter(places))}{f' and {len(places) - 1} more' if len(places) > 1 else ''}: {what}"
            for what, places in self._notes.items()
        )

    def raise_any(self) -> None:
        """Raise ManifestError if anything was noted."""
        if not self._found:
            return
        ordered = sorted(self._found, key=self._found.__getitem__)
        if len(ordered) > MAX_PROBLEMS:
            left_out = len(ordered) - MAX_PROBLEMS
            ordered[MAX_PROBLEMS:] = [Problem("and more", f"{left_out} further problems are not shown")]
        raise ManifestError(tuple(ordered))


def refuse(where: str, what: str) -> ManifestError:
    """The error of a file that cannot be read at all."""
    return ManifestError((Problem(printable(where), printable(what)),))


def printable(text: str) -> str:
    """``text`` on one line: what would move a cursor or cannot be encoded stands as its escape."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def shown(value: object) -> str:
    """A value as the user wrote it, cut short: ``null``, ``true``, ``'text'``, ``3``."""
    try:
        text = repr(value) if isinstance(value, str) else json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:56]} ..."


def nearest(word: str, choices: Iterable[str]) -> str:
    """``nearest is x``, or the whole choice when nothing is near."""
    return _nearest(word[:200], tuple(islice(choices, MAX_CHOICES)))


@lru_cache(maxsize=512)
def _nearest(word: str, choices: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    if near:
        return f"nearest is {near[0]}"
    shortened = ", ".join(choices[:30]) + (" ..." if len(choices) > 30 else "")
    return f"it can be {shortened}" if choices else "there is none"
