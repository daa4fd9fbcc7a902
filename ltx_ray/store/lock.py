"""One process renders a run at a time.

The lock is a JSON file that is created whole and exclusively, and says who holds it. A lock of a dead process of this
machine is taken over; of several takers one wins, because the stale file is judged and removed under a kernel lock on
that very file.

Of another machine or container nothing can be seen but the file. So its holder touches it while it lives, and one that
has not been touched for ``LEASE_S`` is taken over: a run goes on after its machine was taken away, without a person. A
holder that only slept so long finds the lock gone and writes nothing any more. A lock of a release that does not touch
it is believed until a person breaks it.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import threading
import time
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from ltx_ray.errors import RunLocked, StoreError
from ltx_ray.store import durable
from ltx_ray.store.faults import storage_errors, taken_away
from ltx_ray.store.owner import Life, Owner, is_abandoned, life, temp_prefix, this_process

#: A holder touches its lock so often; one that was not touched for so long has none any more, which is looked at so
#: often. Network file systems may hold back what they know of a file for a few seconds.
BEAT_S, LEASE_S, LOOK_S = 5.0, 60.0, 1.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock. ``owner`` is ``None`` when the file cannot be read as one."""

    owner: Owner | None
    since: str  #: ISO 8601, UTC
    beats: bool = False  #: it touches the file while it lives

    @property
    def life(self) -> Life:
        return life(self.owner) if self.owner else "unknown"


class RunLock:
    """The lock at ``path``; also a context manager."""

    def __init__(self, path: Path, *, waits: bool = True) -> None:
        """``waits``: to see whether a holder elsewhere lives; otherwise it is believed."""
        self.path, self._waits = path, waits
        self._mine: bytes | None = None
        self._folder = -1  #: descriptor of the directory that was locked, wherever it lies by now
        self._released = threading.Event()

    def acquire(self) -> None:
        """Take the lock, or that of a dead process.

        Whether one of another machine is dead is seen after ``LEASE_S``.

        Raises:
            RunLocked: a live process holds it, or one that does not say whether it lives.
        """
        assert self._mine is None, "a RunLock is acquired once"
        mine = _to_json(this_process())
        with storage_errors(self.path):
            while not durable.create_exclusive(self.path, mine, temp=self._temp()):
                stale = self._stale()
                # Released or taken over since: then nothing is removed and the next try decides.
                durable.remove_if(self.path, _is_dead if stale is None else stale.__eq__)
            self._drop_temps()
            self._folder = durable.open_folder(self.path.parent)
        self._mine = mine
        self._released.clear()
        self._beats = threading.Thread(target=self._beat, name="lock", daemon=True)
        self._beats.start()

    def release(self) -> None:
        """Give the lock back, also of a directory that was moved; nothing happens if it is somebody else's by now."""
        mine, self._mine = self._mine, None
        if mine is not None:
            self._released.set()
            self._beats.join()
            try:
                with storage_errors(self.path):
                    durable.remove_in(self._folder, self.path.name, lambda data: data == mine)
            finally:
                os.close(self._folder)

    def check(self) -> None:
        """Raise StoreUnusable if the lock is no longer at its path: a run that is gone must not be written to."""
        try:
            is_mine = self.path.read_bytes() == self._mine
        except (FileNotFoundError, NotADirectoryError):
            is_mine = False
        except OSError:  # a fault that may pass; if it stays, the next write meets it
            return
        if not is_mine:
            raise taken_away(self.path)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What went wrong inside is what a person must hear of; a lock that stays is taken over when its holder is dead.
        with suppress(StoreError) if error is not None else nullcontext():
            self.release()

    def _stale(self) -> bytes | None:
        """The lock of a holder elsewhere that does not live; None = that of one here, or there is none by now.

        Raises:
            RunLocked: its holder lives, or nobody can tell.
        """
        seen = _look(self.path)
        if seen is None or (holder := _from_json(seen.data)).life == "dead":
            return None
        if holder.life == "unknown" and holder.beats and self._waits:
            _log.warning("%s; waits %g s to see whether it lives", _locked(self.path, holder).place, LEASE_S)
            until = time.monotonic() + LEASE_S
            while (now := _look(self.path)) == seen:
                if time.monotonic() > until:
                    return seen.data
                time.sleep(LOOK_S)
            if now is None or now.data != seen.data:
                return None
        raise _locked(self.path, holder)

    def _beat(self) -> None:
        """Touch the lock until it is released. What keeps that from it, ``check`` finds too."""
        while not self._released.wait(BEAT_S):
            with suppress(OSError):
                if self.path.read_bytes() == self._mine:
                    os.utime(self.path)

    def _temp(self) -> Path:
        return self.path.with_name(f".{self.path.name}.{temp_prefix()}{secrets.token_hex(8)}")

    def _drop_temps(self) -> None:
        for temp in self.path.parent.glob(f".{self.path.name}.*"):
            if is_abandoned(temp.name.removeprefix(f".{self.path.name}.")):
                temp.unlink(missing_ok=True)


class _Seen(NamedTuple):
    data: bytes
    touched_ns: int


def _look(path: Path) -> _Seen | None:
    """A lock and when it was touched; None = there is none. It is opened: of that a network file system asks anew."""
    try:
        with path.open("rb") as file:
            return _Seen(file.read(), os.fstat(file.fileno()).st_mtime_ns)
    except FileNotFoundError:
        return None


def read_lock(path: Path) -> Holder | None:
    """Who holds the lock at ``path``; ``None`` if nobody."""
    with storage_errors(path):
        try:
            return _from_json(path.read_bytes())
        except FileNotFoundError:
            return None


def break_lock(path: Path) -> Holder | None:
    """Remove a lock for a person who knows that its holder is gone; return whose it was, ``None`` if there was none.

    Raises:
        RunLocked: its holder lives on this machine.
    """
    holder = read_lock(path)
    if holder is None:
        return None
    if holder.life == "alive":
        raise _locked(path, holder)
    with storage_errors(path):
        durable.remove_if(path, lambda data: _from_json(data).life != "alive")
    return holder


def _locked(path: Path, holder: Holder) -> RunLocked:
    owner = holder.owner
    return RunLocked(str(path.parent), owner.host if owner else "unknown host", owner.pid if owner else 0, holder.since)


def _is_dead(data: bytes) -> bool:
    return _from_json(data).life == "dead"


def _to_json(owner: Owner) -> bytes:
    # The token makes every holding unique, so that release never removes a later lock of the same process.
    record = {**asdict(owner), "since": _now(), "token": secrets.token_hex(8), "beats": True}
    return json.dumps(record, separators=(",", ":"), ensure_ascii=True).encode("ascii") + b"\n"


def _from_json(data: bytes) -> Holder:
    try:
        record: Any = json.loads(data.decode("ascii"))
        owner = Owner(**{name.name: record[name.name] for name in fields(Owner)})
        since = str(record["since"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return Holder(None, "an unknown time")
    return Holder(owner if _is_sane(owner) else None, since, record.get("beats") is True)


def _is_sane(owner: Owner) -> bool:
    numbers, texts = (owner.pid, owner.started), (owner.host, owner.machine, owner.boot, owner.pid_namespace)
    return all(type(number) is int and number >= 0 for number in numbers) and all(isinstance(t, str) for t in texts)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
