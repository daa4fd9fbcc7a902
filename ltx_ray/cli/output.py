"""Standard output and standard error as the command writes them.

Every character can be written: what the encoding has no sign for is escaped. When they cannot be written at all, that
is an OutputLost, neither a bug of ours nor a fault of the store: the reader of a pipe went away, a disk is full, the
terminal is closed. It is no OSError, because libraries between here and the verb handle those as their own.

    a stream is closed         it goes nowhere; nothing else changes
    it is lost during a verb   the verb ends, with 141 when the reader of a pipe went away, otherwise with 4
    it is lost during a render the render runs to its end in silence, and ends then with the same codes, unless it has
                               one of its own: nobody may lose hours of work for a line of text
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO, cast

import typer

from ltx_ray.spec.counted import ON_COUNT

#: Longer than nearly all manifests take.
SIGN_EVERY_S = 3.0
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
    """One of the two streams, buffered as it was; its faults are OutputLost, and from the first on it goes nowhere."""

    def __init__(self, stream: io.TextIOWrapper, label: str) -> None:
        file = os.fdopen(stream.fileno(), "wb", closefd=False)
        # An ASCII stream typer takes for a misconfigured one: it writes UTF-8 around it, and faults would not be seen.
        encoding = "utf-8" if codecs.lookup(stream.encoding).name == "ascii" else stream.encoding
        super().__init__(
            file,
            encoding=encoding,
            errors="backslashreplace",
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        self.label = label
        self.is_patient = False  #: a fault is remembered, not raised
        self.lost: OutputLost | None = None

    def write(self, text: str, /) -> int:
        try:
            count = super().write(text)
            if self.write_through:
                super().flush()  # of the file below, which has a buffer of its own
            return count
        except OSError as error:
            self._lose(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        # What is still buffered goes nowhere; otherwise the interpreter would try again, and complain, as it ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        super().flush()  # now: once the stream is collected, its number may be that of another file
        self.lost = OutputLost(self.label, error.errno or errno.EIO)
        if not self.is_patient:
            raise self.lost from error


@contextmanager
def outlived() -> Iterator[None]:
    """Inside the block the loss of an output stops nothing. It is raised at the end, unless the block itself raises."""
    outputs = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, Output)]
    for output in outputs:
        output.is_patient = True
    try:
        yield
    finally:
        for output in outputs:
            output.is_patient = False
    for output in outputs:
        if output.lost is not None:
            raise output.lost


def open_streams() -> None:
    """Put an Output in place of each stream of this process; one that is closed goes nowhere from now on.

    Comes before anything opens a file, which would get the number of a closed stream, and with it all that libraries
    and child processes write there.
    """
    for fd in range(3):
        if not _is_open(fd):
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = Output(_of_python(sys.stdout, 1), "standard output")
    sys.stderr = Output(_of_python(sys.stderr, 2), "standard error")


def _of_python(stream: TextIO | None, fd: int) -> io.TextIOWrapper:
    """The stream that the interpreter opened; it opens none where ``fd`` was closed."""
    return cast(io.TextIOWrapper, stream or os.fdopen(fd, "w", closefd=False))


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def say_lost(lost: OutputLost) -> None:
    """Say so where it can still be read. A reader that went away is not spoken to: that is how pipes end."""
    if lost.exit_code != PIPE_CLOSED and sys.stderr is not None:
        with suppress(OutputLost):
            sys.stderr.write(f"ltx-ray: {lost}\n")
            sys.stderr.flush()


@contextmanager
def signs_of_life() -> Iterator[None]:
    """While something large is counted in the block, a line every few seconds says how far it is."""
    last_s = time.monotonic()

    def tell(what: str, num: int) -> None:
        nonlocal last_s
        if time.monotonic() - last_s > SIGN_EVERY_S:
            last_s = time.monotonic()
            typer.echo(f"{num:,} {what}", err=True)

    token = ON_COUNT.set(tell)
    try:
        yield
    finally:
        ON_COUNT.reset(token)
