"""A whole plan in this process: one worker, which runs a task whenever it is asked for events."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ltx_ray.errors import Cancelled
from ltx_ray.spec.events import Event, Failure, TaskCancelled, TaskDone, TaskFailed, WorkerJoined
from ltx_ray.spec.task import STAGES, Task
from ltx_ray.store.protocol import Store
from ltx_ray.worker.execute import attempt, use_fixed_threads

WORKER = "inline"


class InlinePool:
    """The Pool protocol with nothing but the calling thread.

    Nobody can call ``cancel`` while a task runs here, so a running task asks ``should_stop`` at its every step.
    """

    def __init__(self, store: Store, should_stop: Callable[[], bool]) -> None:
        self._store = store
        self._should_stop = should_stop
        self._submitted: tuple[Task, int] | None = None
        self._is_new = True

    def start(self) -> None:
        use_fixed_threads()

    def submit(self, task: Task, worker: str, attempt: int) -> None:
        assert worker == WORKER and self._submitted is None
        self._submitted = (task, attempt)

    def cancel(self, task: str, worker: str, attempt: int) -> None:
        """Forget the task if it has not begun; one that runs stops by itself."""

    def retire(self, worker: str) -> None:
        pass

    def events(self, timeout_s: float) -> Sequence[Event]:
        if self._is_new:
            self._is_new = False
            return [WorkerJoined(time.monotonic(), WORKER, frozenset(STAGES), "this process")]
        if self._submitted is None:
            time.sleep(timeout_s)
            return []
        (task, number), self._submitted = self._submitted, None
        result = attempt(task, self._store, self)
        now = time.monotonic()
        if result is None:
            return [TaskCancelled(now, task.key, WORKER, number)]
        if isinstance(result, Failure):
            return [TaskFailed(now, task.key, WORKER, number, result)]
        return [TaskDone(now, task.key, WORKER, number, result)]

    def stop(self) -> None:
        pass

    def step(self, step_idx: int, num_steps: int) -> None:
        """The Control protocol of the running task."""
        if self._should_stop():
            raise Cancelled
