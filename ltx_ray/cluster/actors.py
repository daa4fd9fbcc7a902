"""The one actor class: a process on a device that holds a set of stages. It only forwards.

``run`` has the one compute thread; ``cancel`` answers beside it in the control concurrency group.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import ray

from ltx_ray.errors import Cancelled
from ltx_ray.spec.events import Done, Failure
from ltx_ray.spec.task import Task

if TYPE_CHECKING:
    from ltx_ray.store.protocol import Store

#: Methods that answer while a task runs.
CONTROL_GROUP = "control"


class StepControl:
    """Control of one attempt; ``stop`` may come from another thread."""

    def __init__(self) -> None:
        self.stop = threading.Event()

    def step(self, step_idx: int, num_steps: int) -> None:
        if self.stop.is_set():
            raise Cancelled


class StageActor:
    """Wrapped with ``ray.remote`` by the pool, with max_restarts and max_task_retries 0: retries are the engine's."""

    def __init__(self, store_uri: str) -> None:
        self._store_uri = store_uri
        self._store: Store | None = None
        self._control = StepControl()
        self._attempt: tuple[str, int] | None = None

    def hello(self, token_name: str, token: bytes) -> int:
        """Prove that this process sees the driver's store, load what every task needs, and give the process id.

        Raises:
            StoreError: the token cannot be read back.
        """
        from ltx_ray.errors import StoreError
        from ltx_ray.store.open import open_store
        from ltx_ray.worker.execute import use_fixed_threads

        use_fixed_threads()
        store = open_store(self._store_uri)
        if store.get_token(token_name) != token:
            raise StoreError(f"{self._store_uri}: not the same store on every node; give --store a shared place")
        self._store = store
        return os.getpid()

    def run(self, task: Task, attempt: int) -> Done | Failure | None:
        """One attempt at a task; see ``worker.execute.attempt``."""
        from ltx_ray.worker.execute import attempt as attempt_task

        assert self._store is not None, "hello comes first"
        self._control = StepControl()
        self._attempt = (task.key, attempt)
        return attempt_task(task, self._store, self._control)

    @ray.method(concurrency_group=CONTROL_GROUP)
    def cancel(self, task: str, attempt: int) -> None:
        """Stop the attempt at its next step, if it is the one that runs."""
        if self._attempt == (task, attempt):
            self._control.stop.set()
