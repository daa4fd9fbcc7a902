"""A sign of life from long loops: whoever loops says what it counts, whoever watches sets ``ON_COUNT``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import TypeVar

_T = TypeVar("_T")
#: Called every now and then with what was counted, such as "videos planned", and how many; None = nobody watches.
ON_COUNT: ContextVar[Callable[[str, int], None] | None] = ContextVar("ON_COUNT", default=None)
#: Items between two calls: milliseconds of work.
EVERY = 256


def counted(items: Iterable[_T], what: str) -> Iterator[_T]:
    """``items``, as they are."""
    on_count = ON_COUNT.get()
    if on_count is None:
        yield from items
        return
    for num, item in enumerate(items):
        if num % EVERY == 0 and num:
            on_count(what, num)
        yield item
