"""What a worker's process said last, for the record of an attempt that failed."""

from __future__ import annotations

import logging
import os
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, suppress
from typing import Any, TextIO

from ltx_ray.spec.events import LINE_CHARS, LOG_LINES, SPARE, Failure


class LastLines:
    """The last lines written to any of its streams; earlier ones are forgotten."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=LOG_LINES)

    def stream(self, to: TextIO) -> Any:
        """A text stream that passes everything on to ``to``."""
        return _Stream(self._lines, to)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Inside the block, remember standard error, and what is logged to handlers that go around it."""
        handler = _Handler(self._lines)
        # On a root without handlers ours would keep logging from falling back to standard error.
        root = logging.getLogger() if logging.getLogger().handlers else None
        if root is not None:
            root.addHandler(handler)
        try:
            with nullcontext() if sys.stderr is None else redirect_stderr(self.stream(sys.stderr)):
                yield
        finally:
            if root is not None:
                root.removeHandler(handler)

    def clear(self) -> None:
        self._lines.clear()

    def told(self, failure: Failure) -> Failure:
        """The failure with these lines, as it leaves this process."""
        return failure.told(os.environ, self._lines)


class _Stream:
    """Anything but writing is done by the stream behind it. What that cannot take is no fault of the task."""

    def __init__(self, lines: deque[str], to: TextIO) -> None:
        self._lines, self._to = lines, to
        self._rest = ""

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._to.write(text)
        *whole, self._rest = (self._rest + text).split("\n")
        self._rest = _visible(self._rest)
        self._lines.extend(_visible(line) for line in whole)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._to.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._to, name)


class _Handler(logging.Handler):
    def __init__(self, lines: deque[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.extend(_visible(line) for line in record.getMessage().split("\n"))


def _visible(line: str) -> str:
    """A progress bar overwrites itself; only what it shows last is kept, up to a bearable length."""
    return line.removesuffix("\r").rpartition("\r")[2][: SPARE * LINE_CHARS]
