"""The journal of a run: what happened, in order, one ASCII JSON object a line, fsynced before ``append`` returns.

It is history, never the truth about what is kept: losing it loses no work. Lines carry ``seq`` (0, 1, 2, ...) and
``schema``. A line cut by a crash is the last one and is dropped; a broken line with good ones after it ends the history
there, is said aloud, and the file is kept aside before anything is written over it. A line that is no record by
``spec.records`` is passed over, which is said aloud too; one of a later version's event is passed over in silence.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ltx_ray.errors import StoreUnusable
from ltx_ray.spec.records import Decoder, Record, encode
from ltx_ray.store import durable
from ltx_ray.store.faults import storage_error, storage_errors, taken_away
from ltx_ray.store.lock import RunLock

JOURNAL_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class History:
    """What a journal says."""

    records: tuple[Record, ...] = ()
    num_bytes: int = 0  #: of the file, up to the end of the last good line
    problem: str | None = None  #: a sentence if lines in the middle cannot be read; what follows them is not in records
    num_passed_over: int = 0  #: good lines that are not in records
    note: str | None = None  #: what a person should hear: ``problem``, and that lines are passed over


def read_journal(path: Path) -> History:
    """Everything up to the first line that cannot be read; an absent or empty file is an empty history.

    Raises:
        StoreUnusable: a line was written by a newer program.
    """
    with storage_errors(path):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return History()
    lines = data.split(b"\n")
    lines.pop()  # empty after a whole last line, otherwise cut off
    decoder = Decoder()
    records: list[Record] = []
    odd: list[int] = []
    num_unknown = 0
    problem = None
    num_bytes = 0
    for idx, line in enumerate(lines):
        fields = _parse(line, path)
        if fields is None or fields.pop("seq", None) != idx:
            problem = _problem(path, idx, lines[idx + 1 :])
            break
        try:
            if (record := decoder.decode(fields)) is not None:
                records.append(record)
            else:
                num_unknown += 1
        except ValueError:
            odd.append(idx)
        num_bytes += len(line) + 1
    notes = [*filter(None, [problem]), *_odd(path, odd)]
    return History(tuple(records), num_bytes, problem, len(odd) + num_unknown, "; ".join(notes) or None)


@dataclass(slots=True)
class Journal:
    """Open for appending. One process writes it at a time: the one that holds the run's ``lock``.

    The file is open, so it would take records also when the run directory has been moved or deleted. That is noticed
    before each append.
    """

    path: Path
    history: History  #: what it said when it was opened
    _fd: int
    _num_records: int
    _num_bytes: int = field(default=0)
    _lock: RunLock | None = None

    @classmethod
    def open(cls, path: Path, *, lock: RunLock | None = None) -> Self:
        """Open or create; cut off what ``read_journal`` does not read. Raises as it does."""
        history = read_journal(path)
        with storage_errors(path):
            if history.problem:
                shutil.copyfile(path, path.with_name(f"{path.name}.broken-{history.num_bytes}"))
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                os.ftruncate(fd, history.num_bytes)
                os.fsync(fd)
                durable.sync_folder(path.parent)
            except OSError:
                os.close(fd)
                raise
        return cls(path, history, fd, len(history.records) + history.num_passed_over, history.num_bytes, lock)

    def check(self) -> None:
        """Raise StoreUnusable if the run is gone: the journal or the lock is no longer at its path."""
        with suppress(OSError):  # a fault that may pass; if it stays, the next write meets it
            if not durable.is_named(self._fd, self.path):
                raise taken_away(self.path)
        if self._lock is not None:
            self._lock.check()

    def append(self, *records: Record) -> None:
        """Append records, durable when this returns; several cost one fsync. After an error none of them is there.

        Raises as ``check``, and if the storage fails.
        """
        assert self._fd >= 0, "the journal is closed"
        self.check()
        lines = b"".join(_line(self._num_records + idx, record) for idx, record in enumerate(records))
        try:
            durable.write_all(self._fd, lines)
            os.fsync(self._fd)
        except OSError as error:
            # Half a line must not be continued by the next record. If even this fails, `open` cuts it.
            with suppress(OSError):
                os.ftruncate(self._fd, self._num_bytes)
            raise storage_error(error, self.path) from error
        self._num_records += len(records)
        self._num_bytes += len(lines)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _line(seq: int, record: Record) -> bytes:
    fields = {"seq": seq, "schema": JOURNAL_SCHEMA, **encode(record)}
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii") + b"\n"


def _parse(line: bytes, path: Path) -> dict[str, Any] | None:
    try:
        fields = json.loads(line.decode("ascii"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict) or type(schema := fields.pop("schema", None)) is not int:
        return None
    if schema > JOURNAL_SCHEMA:
        raise StoreUnusable(
            f"{path}: the journal has schema {schema}, this program reads up to {JOURNAL_SCHEMA}; "
            "upgrade ltx-ray or name another --run"
        )
    return fields


def _odd(path: Path, lines: list[int]) -> list[str]:
    if not lines:
        return []
    others = f" and {len(lines) - 1} more are" if len(lines) > 1 else " is"
    return [
        f"{path}: line {lines[0] + 1}{others} passed over, for want of fields or for odd values in them; "
        "artifacts are not affected, only the history of the run"
    ]


def _problem(path: Path, idx: int, later: list[bytes]) -> str | None:
    # After power loss the end of a file may be zeros: nothing readable follows, so nothing is lost.
    if not any(_parse(line, path) for line in later):
        return None
    return (
        f"{path}: line {idx + 1} cannot be read, {len(later)} later lines are ignored; "
        "artifacts are not affected, only the history of the run"
    )
