"""One process renders a run at a time.

The lock is a JSON file that is created whole and exclusively, and says who holds it. A lock of a dead process of this
machine is taken over; of several takers one wins, because the stale file is judged and removed under a kernel lock on
that very file. A lock of another machine or container is believed until a person breaks it.
"""

from __future__ import annotations

import json
import os
import secrets
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ltx_ray.errors import RunLocked, StoreError
from ltx_ray.store import durable
from ltx_ray.store.faults import storage_errors, taken_away
from ltx_ray.store.owner import Life, Owner, is_abandoned, life, temp_prefix, this_process


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock. ``owner`` is ``None`` when the file cannot be read as one."""

    owner: Owner | None
    since: str  #: ISO 8601, UTC

    @property
    def life(self) -> Life:
        return life(self.owner) if self.owner else "unknown"


class RunLock:
    """The lock at ``path``; also a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mine: bytes | None = None
        self._folder = -1  #: descriptor of the directory that was locked, wherever it lies by now

    def acquire(self) -> None:
        """Take the lock, or that of a dead process of this machine.

        Raises:
            RunLocked: a live process holds it, or one that cannot be seen from here.
        """
        assert self._mine is None, "a RunLock is acquired once"
        mine = _to_json(this_process())
        with storage_errors(self.path):
            while not durable.create_exclusive(self.path, mine, temp=self._temp()):
                self._refuse_if_held()
                # Released or taken over since: then nothing is removed and the next try decides.
                durable.remove_if(self.path, _is_dead)
            self._drop_temps()
            self._folder = durable.open_folder(self.path.parent)
        self._mine = mine

    def release(self) -> None:
        """Give the lock back, also of a directory that was moved; nothing happens if it is somebody else's by now."""
        mine, self._mine = self._mine, None
        if mine is not None:
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

    def _refuse_if_held(self) -> None:
        holder = read_lock(self.path)
        if holder is not None and holder.life != "dead":
            raise _locked(self.path, holder)

    def _temp(self) -> Path:
        return self.path.with_name(f".{self.path.name}.{temp_prefix()}{secrets.token_hex(8)}")

    def _drop_temps(self) -> None:
        for temp in self.path.parent.glob(f".{self.path.name}.*"):
            if is_abandoned(temp.name.removeprefix(f".{self.path.name}.")):
                temp.unlink(missing_ok=True)


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
    record = {**asdict(owner), "since": _now(), "token": secrets.token_hex(8)}
    return json.dumps(record, separators=(",", ":"), ensure_ascii=True).encode("ascii") + b"\n"


def _from_json(data: bytes) -> Holder:
    try:
        record: Any = json.loads(data.decode("ascii"))
        owner = Owner(**{name.name: record[name.name] for name in fields(Owner)})
        since = str(record["since"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return Holder(None, "an unknown time")
    return Holder(owner if _is_sane(owner) else None, since)


def _is_sane(owner: Owner) -> bool:
    numbers, texts = (owner.pid, owner.started), (owner.host, owner.machine, owner.boot, owner.pid_namespace)
    return all(type(number) is int and number >= 0 for number in numbers) and all(isinstance(t, str) for t in texts)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
