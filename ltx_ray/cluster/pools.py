"""Workers as Ray actors, and everything that befalls them as events.

A worker whose process dies is started again under the same name on its node, unless it dies again and again without
finishing anything; a worker whose node is gone is not. Retries of tasks are the engine's business.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ltx_ray.cluster.actors import CONTROL_GROUP, StageActor
from ltx_ray.cluster.session import is_alive
from ltx_ray.errors import DoesNotFit, LtxRayError
from ltx_ray.spec.events import (
    Event,
    Failure,
    TaskCancelled,
    TaskDone,
    TaskFailed,
    WorkerJoined,
    WorkerLost,
)
from ltx_ray.spec.machine import WorkerSpec
from ltx_ray.spec.task import Task
from ltx_ray.store.open import open_store

#: Deaths in a row, without a finished task between them, after which a worker is not started again.
MAX_DEATHS_IN_A_ROW = 4


@dataclass(slots=True)
class Worker:
    spec: WorkerSpec
    actor: ActorHandle[Any]
    deaths_in_a_row: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """What a pending reference is the answer to; ``task`` None is the greeting."""

    worker: str
    task: str | None = None
    attempt: int = 0


class RayPool:
    """The Pool protocol on a Ray session that is already open; ``actor`` is what runs in each worker's process."""

    def __init__(self, specs: Sequence[WorkerSpec], store_uri: str, actor: type[StageActor] = StageActor) -> None:
        self._specs = specs
        self._store_uri = store_uri
        self._workers: dict[str, Worker] = {}
        self._calls: dict[ray.ObjectRef[Any], Call] = {}
        self._happened: list[Event] = []
        self._has_greeted = False
        self._token_name = f"run-{secrets.token_hex(8)}"
        self._token = secrets.token_bytes(16)
        remote: Any = ray.remote  # its overloads do not know concurrency_groups
        self._actor_class = remote(concurrency_groups={CONTROL_GROUP: 1})(actor)

    def start(self) -> None:
        store = open_store(self._store_uri)
        store.put_token(self._token_name, self._token)
        for spec in self._specs:
            self._bring_up(spec)

    def submit(self, task: Task, worker: str, attempt: int) -> None:
        ref: ray.ObjectRef[Any] = self._workers[worker].actor.run.remote(task, attempt)
        self._calls[ref] = Call(worker, task.key, attempt)

    def cancel(self, task: str, worker: str, attempt: int) -> None:
        if worker in self._workers:
            self._workers[worker].actor.cancel.remote(task, attempt)

    def retire(self, worker: str) -> None:
        if (gone := self._workers.pop(worker, None)) is not None:
            ray.kill(gone.actor)
            self._happened.append(WorkerLost(time.monotonic(), worker, "drain"))

    def events(self, timeout_s: float) -> Sequence[Event]:
        happened, self._happened = self._happened, []
        if happened:
            return happened
        if not self._calls:
            time.sleep(timeout_s)
            return []
        ready, _ = ray.wait(list(self._calls), num_returns=1, timeout=timeout_s, fetch_local=True)
        if ready:
            ready, _ = ray.wait(list(self._calls), num_returns=len(self._calls), timeout=0, fetch_local=True)
        return [event for ref in ready if (event := self._answer(ref)) is not None]

    def stop(self) -> None:
        for worker in list(self._workers):
            self.retire(worker)
        open_store(self._store_uri).drop_token(self._token_name)

    def _bring_up(self, spec: WorkerSpec, *, deaths_in_a_row: int = 0) -> None:
        """Start the worker's process and greet it."""
        actor = self._actor_class.options(
            num_cpus=0,  # Ray would otherwise count every actor as a core, and wait for ever on a small machine
            num_gpus=spec.num_gpus,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(spec.node, soft=False),
        ).remote(self._store_uri)
        self._workers[spec.name] = Worker(spec, actor, deaths_in_a_row)
        self._calls[actor.hello.remote(self._token_name, self._token)] = Call(spec.name)

    def _answer(self, ref: ray.ObjectRef[Any]) -> Event | None:
        call = self._calls.pop(ref)
        now = time.monotonic()
        worker = self._workers.get(call.worker)
        try:
            result = ray.get(ref)
        except ray.exceptions.RayTaskError as error:
            return self._raised(call, error, now)
        except ray.exceptions.RayError as error:
            if worker is None:
                return None
            if call.task is None and not self._has_greeted:
                self._check_any_left(call.worker, error)
            return self._lost(call.worker, now)
        if worker is None:
            return None
        if call.task is None:
            self._has_greeted = True
            return WorkerJoined(now, call.worker, worker.spec.stages, worker.spec.node)
        worker.deaths_in_a_row = 0
        if result is None:
            return TaskCancelled(now, call.task, call.worker, call.attempt)
        if isinstance(result, Failure):
            return TaskFailed(now, call.task, call.worker, call.attempt, result)
        return TaskDone(now, call.task, call.worker, call.attempt, result)

    def _raised(self, call: Call, error: ray.exceptions.RayTaskError, now: float) -> Event | None:
        """An exception out of an actor method: of the greeting it is the user's to mend, of ``run`` it is our bug."""
        cause = error.cause if isinstance(error.cause, BaseException) else error
        if call.task is None:
            if isinstance(cause, LtxRayError):
                raise cause
            raise error
        failure = Failure(type(cause).__name__, str(cause), str(error), retryable=True)
        return TaskFailed(now, call.task, call.worker, call.attempt, failure)

    def _check_any_left(self, name: str, error: ray.exceptions.RayError) -> None:
        """Give up with the reason when no worker ever came up and the last one has died for good."""
        is_last_death = self._workers[name].deaths_in_a_row + 1 >= MAX_DEATHS_IN_A_ROW
        if is_last_death and len(self._workers) == 1:
            raise DoesNotFit(
                "cluster: no worker could start; see that ltx_ray is installed on every node, and RAY_AUTH_MODE is as "
                f"the cluster was started with: {error}"
            ) from error

    def _lost(self, name: str, now: float) -> Event:
        worker = self._workers.pop(name)
        for ref in [ref for ref, call in self._calls.items() if call.worker == name]:
            del self._calls[ref]
        if not is_alive(worker.spec.node):
            return WorkerLost(now, name, "node")
        deaths = worker.deaths_in_a_row + 1
        if deaths < MAX_DEATHS_IN_A_ROW:
            self._bring_up(worker.spec, deaths_in_a_row=deaths)
        return WorkerLost(now, name, "death")
