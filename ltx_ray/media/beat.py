"""A sign of life from long reading: whoever reads calls ``beat`` again and again, whoever watches sets ``ON_BEAT``."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

#: Called at every packet that is read; None = nobody watches.
ON_BEAT: ContextVar[Callable[[], None] | None] = ContextVar("ON_BEAT", default=None)


def beat() -> None:
    """Something was read."""
    if (on_beat := ON_BEAT.get()) is not None:
        on_beat()
