"""A whole plan in this process: one worker, which runs a task whenever it is asked for events."""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import torch

from ltx_ray.errors import Cancelled
from ltx_ray.models.load import Loaded
from ltx_ray.spec.events import (
    Event,
    Failure,
    KillCause,
    TaskCancelled,
    TaskDone,
    TaskFailed,
    WorkerJoined,
    WorkerLost,
)
from ltx_ray.spec.task import STAGES, Task
from ltx_ray.store.protocol import Store
from ltx_ray.worker.execute import attempt, use_fixed_threads
from ltx_ray.worker.last_lines import LastLines

WORKER = "inline"
#: A stage asked to stop gets this long to reach its next step; then it is stopped wherever it is.
STOP_GRACE_S, LOOK_EVERY_S = 3.0, 0.5


class InlinePool:
    """The Pool protocol with nothing but the calling thread.

    Nobody can call ``cancel`` while a task runs here, so a running task asks ``should_stop`` at its every step. Nobody
    can end a stage that hangs, either.
    """

    def __init__(self, store: Store, models: Loaded, should_stop: Callable[[], bool]) -> None:
        self._store, self._models = store, models
        self._should_stop = should_stop
        self._submitted: tuple[Task, int] | None = None
        self._happened: list[Event] = []
        self._said = LastLines()

    def start(self) -> None:
        use_fixed_threads()
        self._join()

    def submit(self, task: Task, worker: str, attempt: int) -> None:
        assert worker == WORKER and self._submitted is None
        self._submitted = (task, attempt)

    def cancel(self, task: str, worker: str, attempt: int) -> None:
        """Nothing runs between two calls of ``events``; a task not begun asks at its first step."""

    def retire(self, worker: str) -> None:
        pass

    def kill(self, worker: str, cause: KillCause) -> None:
        """This process cannot be replaced, but what it holds can be given back."""
        self._models.close()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._happened.append(WorkerLost(time.monotonic(), WORKER, cause))
        self._join()

    def events(self, timeout_s: float) -> Sequence[Event]:
        if self._happened:
            happened, self._happened = self._happened, []
            return happened
        if self._submitted is None:
            time.sleep(timeout_s)
            return []
        (task, number), self._submitted = self._submitted, None
        self._said.clear()
        with _stopped_late(self._should_stop), self._said.listening():
            result = attempt(task, self._store, self, self._models)
        now = time.monotonic()
        if result is None:
            return [TaskCancelled(now, task.key, WORKER, number)]
        if isinstance(result, Failure):
            return [TaskFailed(now, task.key, WORKER, number, self._said.told(result))]
        return [TaskDone(now, task.key, WORKER, number, result)]

    def stop(self) -> None:
        pass

    def step(self, step_idx: int, num_steps: int) -> None:
        """The Control protocol of the running task."""
        self.alive()

    def alive(self, *, is_loading: bool = False) -> None:
        if self._should_stop():
            raise Cancelled

    def _join(self) -> None:
        self._happened.append(WorkerJoined(time.monotonic(), WORKER, frozenset(STAGES), "this process"))


@contextmanager
def _stopped_late(should_stop: Callable[[], bool]) -> Iterator[None]:
    """Raise Cancelled in the block when it does not stop by itself, some seconds after it was asked to.

    That reaches a stage between any two operations; only the main thread can be reached so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked_at: float | None = None

    def look(number: int, frame: FrameType | None) -> None:
        nonlocal asked_at
        if should_stop():
            asked_at = asked_at or time.monotonic()
            if time.monotonic() - asked_at > STOP_GRACE_S:
                raise Cancelled

    before = signal.signal(signal.SIGALRM, look)
    signal.siginterrupt(signal.SIGALRM, False)  # libraries that read and write files need not know
    signal.setitimer(signal.ITIMER_REAL, LOOK_EVERY_S, LOOK_EVERY_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
