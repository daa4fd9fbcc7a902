"""The one actor class: a process on a device that holds a set of stages. It only forwards.

``run`` has the one compute thread; the others answer beside it in the control concurrency group.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import ray

from ltx_ray.errors import Cancelled
from ltx_ray.spec.events import Done, Failure
from ltx_ray.spec.task import Task

if TYPE_CHECKING:
    from ltx_ray.models.catalog import Catalog
    from ltx_ray.models.load import Loaded
    from ltx_ray.spec.machine import Offload, WorkerSpec
    from ltx_ray.spec.weights import Weights
    from ltx_ray.store.protocol import Store

#: Set in every worker. CUDA numbers cards by their speed otherwise, and Ray as the bus does. Segments of memory that
#: grow leave fewer pieces between tensors of changing sizes.
DEVICE_ENVIRONMENT = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "PYTORCH_ALLOC_CONF": "expandable_segments:True"}

#: Methods that answer while a task runs.
CONTROL_GROUP = "control"


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a new process must show before it gets work."""

    token_name: str  #: the driver wrote ``token`` to the store under this name
    token: bytes
    answer_name: str  #: the worker writes it again under this one, and the driver reads it
    catalog: Catalog  #: where the worker gets its models
    weights: frozenset[Weights]  #: that the plan needs
    offload: Offload | None = None  #: see ``worker.prepare``
    spec: WorkerSpec | None = None  #: what it is placed for; None = it takes what it needs


class Steps(NamedTuple):
    """How far the running attempt is. ``num_reports`` counts up with every report, also of a step reported before."""

    task: str
    attempt: int
    num_reports: int
    step_idx: int
    num_steps: int
    is_loading: bool = False  #: weights came from files, and no step is done since


class StepControl:
    """Control of one attempt; ``stop`` may come from another thread."""

    def __init__(self, task: str, attempt: int) -> None:
        self.stop = threading.Event()
        self.steps = Steps(task, attempt, 0, 0, 0)

    def step(self, step_idx: int, num_steps: int) -> None:
        # The first step after loading may compile what it runs.
        is_loading = self.steps.is_loading and step_idx == 0
        self._report(self.steps._replace(step_idx=step_idx, num_steps=num_steps, is_loading=is_loading))

    def alive(self, *, is_loading: bool = False) -> None:
        self._report(self.steps._replace(is_loading=self.steps.is_loading or is_loading))

    def _report(self, steps: Steps) -> None:
        if self.stop.is_set():
            raise Cancelled
        self.steps = steps._replace(num_reports=steps.num_reports + 1)


class StageActor:
    """Wrapped with ``ray.remote`` by the pool, with max_restarts and max_task_retries 0: retries are the engine's."""

    def __init__(self, store_uri: str) -> None:
        from ltx_ray.worker.last_lines import LastLines

        self._store_uri = store_uri
        self._store: Store | None = None
        self._models: Loaded | None = None
        self._control: StepControl | None = None
        self._cancelled: set[tuple[str, int]] = set()
        self._said = LastLines()
        for name, value in DEVICE_ENVIRONMENT.items():  # before anything of this process has touched the card
            os.environ.setdefault(name, value)
        sys.stdout, sys.stderr = self._said.stream(sys.stdout), self._said.stream(sys.stderr)

    def hello(self, greeting: Greeting) -> int:
        """Prove that this process shares the driver's store and sees the weights, and load what every task needs.

        Returns:
            The process id.

        Raises:
            StoreError: the token cannot be read, or the answer not written.
            ModelError: the weights of a model are not here.
        """
        from ltx_ray.worker.prepare import prepare

        self._store, self._models = prepare(
            self._store_uri,
            token_name=greeting.token_name,
            token=greeting.token,
            answer_name=greeting.answer_name,
            catalog=greeting.catalog,
            weights=greeting.weights,
            offload=greeting.offload,
            budget=None if greeting.spec is None else greeting.spec.budget,
        )
        if greeting.spec is not None and greeting.spec.loads_ahead:
            threading.Thread(target=self._load_ahead, args=(greeting.spec.parts,), daemon=True).start()
        return os.getpid()

    def _load_ahead(self, parts: tuple[Weights, ...]) -> None:
        assert self._models is not None
        with suppress(Exception):  # the first task that needs it says what is wrong, as a fact about that task
            self._models.ahead(parts)

    def run(self, task: Task, attempt: int) -> Done | Failure | None:
        """One attempt at a task; see ``worker.execute.attempt``."""
        from ltx_ray.worker.execute import attempt as attempt_task

        assert self._store is not None and self._models is not None, "hello comes first"
        self._said.clear()
        self._control = StepControl(task.key, attempt)
        if (task.key, attempt) in self._cancelled:  # calls of different groups may overtake each other
            return None
        result = attempt_task(task, self._store, self._control, self._models)
        return self._said.told(result) if isinstance(result, Failure) else result

    @ray.method(concurrency_group=CONTROL_GROUP)
    def progress(self) -> Steps | None:
        """How far the latest attempt is; None before the first."""
        return None if self._control is None else self._control.steps

    @ray.method(concurrency_group=CONTROL_GROUP)
    def cancel(self, task: str, attempt: int) -> None:
        """Stop the attempt at its next step; one that comes later never begins."""
        self._cancelled.add((task, attempt))
        control = self._control
        if control is not None and control.steps[:2] == (task, attempt):
            control.stop.set()

    @ray.method(concurrency_group=CONTROL_GROUP)
    def leave(self) -> None:
        """End this process: a kill goes through the head of the cluster, this does not."""
        os._exit(0)
