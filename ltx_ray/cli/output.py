"""Standard output and standard error as the command writes them.

Every character can be written: what the encoding has no sign for is escaped. When they cannot be written at all, that
is an OutputLost, neither a bug of ours nor a fault of the store: the reader of a pipe went away, a disk is full. It is
no OSError, because libraries between here and the verb handle those as their own.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from contextlib import suppress
from typing import TextIO

#: What a shell reports for a command that SIGPIPE ended.
PIPE_CLOSED = 141


class OutputLost(Exception):
    """Standard output or standard error cannot be written."""

    def __init__(self, stream: str, code: int) -> None:
        super().__init__(stream, code)
        self.stream, self.code = stream, code

    def __str__(self) -> str:
        reason = os.strerror(self.code)
        return f"{self.stream}: {reason[:1].lower()}{reason[1:]}; send it to where it can be written"

    @property
    def exit_code(self) -> int:
        """141 when the reader went away, 4 when the storage behind it fails."""
        return PIPE_CLOSED if self.code == errno.EPIPE else 4


class Output(io.TextIOWrapper):
    """One of the two streams; its faults are OutputLost."""

    def __init__(self, stream: TextIO, label: str) -> None:
        file = os.fdopen(stream.fileno(), "wb", closefd=False)
        # An ASCII stream typer takes for a misconfigured one: it writes UTF-8 around it, and faults would not be seen.
        encoding = "utf-8" if codecs.lookup(stream.encoding).name == "ascii" else stream.encoding
        super().__init__(file, encoding=encoding, errors="backslashreplace", line_buffering=stream.isatty())
        self.label = label

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise self._lost(error) from error

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise self._lost(error) from error

    def _lost(self, error: OSError) -> OutputLost:
        # What is still buffered goes nowhere; otherwise the interpreter would try again, and complain, as it ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        return OutputLost(self.label, error.errno or errno.EIO)


def open_streams() -> None:
    """Put an Output in place of each stream of this process; a closed one stays closed."""
    if sys.stdout is not None:
        sys.stdout = Output(sys.stdout, "standard output")
    if sys.stderr is not None:
        sys.stderr = Output(sys.stderr, "standard error")


def say_lost(lost: OutputLost) -> None:
    """Say so where it can still be read. A reader that went away is not spoken to: that is how pipes end."""
    if lost.exit_code != PIPE_CLOSED and sys.stderr is not None:
        with suppress(OutputLost):
            sys.stderr.write(f"ltx-ray: {lost}\n")
            sys.stderr.flush()
