"""The thread that owns a Ray session. Imports no Ray.

The processes that Ray starts die with the thread that started them, so one thread lives from the first of them to the
last. Ray's own code may hang for a minute where nobody answers it; its thread can be left behind, ours could not.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

#: What Ray cannot do without.
VITAL = ("gcs_server", "raylet")
#: A thread whose processes are gone gets so long to notice.
END_S = 1.0
#: A killed process is gone after about so long.
LOOK_S = 0.05


class Child(NamedTuple):
    pid: int
    name: str
    is_dead: bool  #: it ended, and nobody has asked how


class OwnerThread(threading.Thread):
    """``begin`` opens a session; ``end`` closes it, after ``close``. Both run here, and nothing else does."""

    def __init__(self, begin: Callable[[], object], end: Callable[[], object]) -> None:
        super().__init__(name="ltx-ray session", daemon=True)
        self._begin, self._end = begin, end
        self._is_settled, self._is_closing = threading.Event(), threading.Event()
        self.error: BaseException | None = None  #: what ``begin`` raised

    def run(self) -> None:
        # A terminal that closes sends SIGHUP to all; what is started here would die of it before its tasks are stopped.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            self._begin()
        except BaseException as error:  # SystemExit too: whoever waits is told, whatever it is
            self.error = error
        self._is_settled.set()
        if self.error is None:
            self._is_closing.wait()
        self._end()

    def is_settled(self, timeout_s: float) -> bool:
        """Whether ``begin`` has ended, well or not; waits at most so long for it."""
        return self._is_settled.wait(timeout_s)

    @property
    def is_closing(self) -> bool:
        return self._is_closing.is_set()

    def dead_child(self) -> str | None:
        """A process that the session cannot do without, and that has ended."""
        return next((child.name for child in self._children() if child.is_dead and child.name in VITAL), None)

    def close(self, timeout_s: float) -> None:
        """End the session; one that takes longer loses its processes, and if that does not help its thread."""
        self._is_closing.set()
        if self.ident is None:  # it never began
            return
        self.join(timeout_s)
        if self.is_alive():
            self._kill_all()
            self.join(END_S)

    def _kill_all(self) -> None:
        """End every process of the session at once: no parent is left to start or to outlive another."""
        while doomed := [child.pid for child in self._children() if not child.is_dead]:
            for pid in [*doomed, *(pid for parent in doomed for pid in _descendants(parent))]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(LOOK_S)

    def _children(self) -> list[Child]:
        pids = _children_of(Path("/proc/self/task", str(self.native_id)))
        return [child for pid in pids if (child := _child(pid)) is not None]


def owner_left_behind() -> OwnerThread | None:
    """A thread whose session was closed, and that still waits for Ray; not that of a session that is open."""
    owners = (thread for thread in threading.enumerate() if isinstance(thread, OwnerThread))
    return next((owner for owner in owners if owner.is_closing), None)


def _descendants(pid: int) -> list[int]:
    children = [child for task in Path(f"/proc/{pid}/task").glob("*") for child in _children_of(task)]
    return [*children, *(grandchild for child in children for grandchild in _descendants(child))]


def _children_of(task: Path) -> list[int]:
    """Processes that a thread has started; none where the system does not tell, or it has ended."""
    try:
        return [int(pid) for pid in (task / "children").read_text().split()]
    except OSError:
        return []


def _child(pid: int) -> Child | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name stands in parentheses and may hold anything.
    name, _, rest = stat.partition("(")[2].rpartition(")")
    return Child(pid, name, rest.split()[0] in ("Z", "X"))
