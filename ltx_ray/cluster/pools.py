"""Workers as Ray actors, and everything that befalls them as events.

A worker whose process dies is started again under the same name on its node and its card, unless it dies again and
again without finishing anything and is not the last; a worker whose node is gone or going is not. One that was out of
memory comes back in a fresh process, and the next time with less of its parts on the card. A machine that joins later
gets workers of its own. Where the last worker for a stage is gone with its card, all are placed anew on the cards that
are left. Retries of tasks are the engine's business.
"""

from __future__ import annotations

import itertools
import logging
import os
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import ray
from ray.actor import ActorHandle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

from ltx_ray.cluster.actors import CONTROL_GROUP, Greeting, StageActor
from ltx_ray.cluster.demand import Demand
from ltx_ray.cluster.head import LiveCluster
from ltx_ray.cluster.seats import Look, Seats, card_here
from ltx_ray.errors import DoesNotFit, LtxRayError, StoreError
from ltx_ray.spec.events import (
    Event,
    Failure,
    KillCause,
    StoreFailed,
    TaskCancelled,
    TaskDone,
    TaskFailed,
    TaskProgressed,
    WorkerDraining,
    WorkerJoined,
    WorkerLost,
    WorkersComing,
)
from ltx_ray.spec.machine import Node, Offload, WorkerSpec
from ltx_ray.spec.redact import told
from ltx_ray.spec.stages import Stage
from ltx_ray.spec.task import Task
from ltx_ray.spec.weights import Weights
from ltx_ray.store.open import open_store

if TYPE_CHECKING:
    from ltx_ray.models.catalog import Catalog

#: Deaths in a row, without a finished task between them, after which a worker is not started again.
MAX_DEATHS_IN_A_ROW = 4
#: Seconds between questions to a running worker how far it is, and between looks at the machines; while
#: their head is silent, sooner.
PROGRESS_EVERY_S = 1.0
NODES_EVERY_S, SILENT_EVERY_S = 3.0, 1.0
#: A worker that answers and has not greeted is waited for so long: weights may have to be fetched, a mount may hang.
GREETING_LIMIT_S = 3600.0
#: After all workers were placed anew, they are not again for so long.
ANEW_EVERY_S = 60.0
#: Seconds after which the token is written again for those who read it next: `gc` takes old ones away.
TOKEN_FRESH_S = 60.0

#: Workers for machines that have none, with the cards that are held there, given the workers there are.
Place = Callable[[Sequence[Node], Sequence[WorkerSpec]], Sequence[WorkerSpec]]

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Worker:
    spec: WorkerSpec
    actor: ActorHandle[Any]
    is_first: bool = False  #: started with the run; what it cannot do ends the run
    deaths_in_a_row: int = 0
    num_replaced: int = 0  #: processes of this worker that ran out of memory
    has_joined: bool = False
    began_at: float = field(default_factory=time.monotonic)
    attempt: tuple[str, int] | None = None  #: what it runs
    num_reports: int = 0  #: of that attempt, known here
    is_asked: bool = False  #: the question how far it is has no answer yet
    is_leaving: bool = False  #: its node drains, and the engine knows


@dataclass(frozen=True, slots=True)
class Call:
    """What a pending reference is the answer to; ``task`` None is the greeting."""

    worker: str
    task: str | None = None
    attempt: int = 0


class RayPool:
    """The Pool protocol on a Ray session that is already open; ``actor`` is what runs in each worker's process."""

    def __init__(
        self,
        place: Place,
        store_uri: str,
        cluster: LiveCluster,
        *,
        catalog: Catalog,
        weights: frozenset[Weights] = frozenset(),
        offload: Offload | None = None,
        demand: Demand | None = None,
        actor: type[StageActor] = StageActor,
        look: Look = card_here,
    ) -> None:
        """``weights``: what every worker must find by ``catalog``. ``place`` is asked while machines have no worker.

        ``demand``: how the cluster is asked to grow; None = it does not. ``look``: what a process knows of its card.
        """
        self._place = place
        self._seats = Seats(look)
        self._came: list[Node] = []  #: whose cards are known while those of others are not
        self._cluster = cluster
        self._store = open_store(store_uri, create=False)
        self._catalog, self._weights, self._offload = catalog, weights, offload
        self._demand = demand
        self._workers: dict[str, Worker] = {}
        self._names: set[str] = set()  #: of every worker there ever was
        self._calls: dict[ray.ObjectRef[Any], Call] = {}
        self._questions: dict[ray.ObjectRef[Any], Worker] = {}
        self._happened: list[Event] = []
        self._has_greeted = False
        self._has_placed = False
        self._known: set[str] = set()  #: machines that were there before, or were told of
        #: Machines on which workers were given up: they get no new ones.
        self._spent: set[str] = set()
        #: Cards, by machine and uuid, on which workers died again and again.
        self._broken: set[tuple[str, str]] = set()
        self._wanted: frozenset[Stage] = frozenset()  #: stages that workers were placed for
        self._anew_at = 0.0
        self._ask_at = self._look_at = 0.0
        self._token_name = f"run-{secrets.token_hex(8)}"
        self._token = secrets.token_bytes(16)
        self._token_at: float | None = None
        remote: Any = ray.remote  # its overloads do not know concurrency_groups
        self._actor_class = remote(concurrency_groups={CONTROL_GROUP: 1})(actor)

    def start(self) -> None:
        self._look_at = time.monotonic() + NODES_EVERY_S
        nodes = self._cluster.machines().nodes
        self._known = {node.node for node in nodes}
        for node in nodes:
            if node.num_gpus:
                self._seats.take(node)
        if not self._seats.is_waiting:
            self._settle([node for node in nodes if node.is_of_use])
        self._ask_for_more()

    def submit(self, task: Task, worker: str, attempt: int) -> None:
        at_work = self._workers[worker]
        ref: ray.ObjectRef[Any] = at_work.actor.run.remote(task, attempt)
        self._calls[ref] = Call(worker, task.key, attempt)
        at_work.attempt, at_work.num_reports = (task.key, attempt), 0

    def cancel(self, task: str, worker: str, attempt: int) -> None:
        if worker in self._workers:
            self._workers[worker].actor.cancel.remote(task, attempt)

    def retire(self, worker: str) -> None:
        self.kill(worker, "drain")

    def kill(self, worker: str, cause: KillCause) -> None:
        if (gone := self._end(worker)) is None:
            return
        self._happened.append(WorkerLost(time.monotonic(), worker, cause))
        if cause == "drain":
            self._spent.add(gone.spec.node)
            return
        if cause == "replaced":
            gone.num_replaced += 1
            if gone.num_replaced > 1 and gone.spec.budget is not None:
                less = gone.spec.budget.with_less([each.part for each in gone.spec.parts])
                _log.warning("worker %s was out of memory again: %s", worker, less.offload)
                gone.spec = replace(gone.spec, budget=less)
        self._bring_up_again(gone, is_death=cause == "hang")

    def events(self, timeout_s: float) -> Sequence[Event]:
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at_nodes(now)
            self._look_at = now + (SILENT_EVERY_S if self._cluster.is_silent else NODES_EVERY_S)
        if now >= self._ask_at:
            self._ask_at = now + PROGRESS_EVERY_S
            self._ask_for_progress(now)
        if self._seats.is_waiting and not self._cluster.is_silent:
            self._look_at_seats()
        happened, self._happened = self._happened, []
        if happened:
            return happened
        if not self._calls:
            time.sleep(timeout_s)
            return []
        ready, _ = ray.wait(list(self._calls), num_returns=1, timeout=timeout_s, fetch_local=True)
        if ready:
            ready, _ = ray.wait(list(self._calls), num_returns=len(self._calls), timeout=0, fetch_local=True)
        # An answer may end other workers' calls.
        return [event for ref in ready if ref in self._calls and (event := self._answer(ref)) is not None]

    def stop(self) -> None:
        if self._demand is not None and not self._cluster.is_silent:
            with suppress(ray.exceptions.RayError):  # they go with the session
                self._demand.withdraw()
        workers = list(self._workers)
        for worker in workers:
            self._end(worker)
        if not self._cluster.is_silent:
            self._seats.close()
        # Last, because a store that fails here must not keep a worker alive; `gc` takes away what is left.
        with suppress(StoreError):
            for name in (*map(self._answer_name, workers), self._token_name):
                self._store.drop_token(name)

    def _bring_up(
        self, spec: WorkerSpec, *, is_first: bool = False, deaths_in_a_row: int = 0, num_replaced: int = 0
    ) -> None:
        """Start the worker's process and greet it; not while the store cannot be used."""
        self._names.add(spec.name)
        now = time.monotonic()
        try:
            self._freshen_token(now)
        except StoreError as error:
            if is_first:
                raise
            self._happened.append(StoreFailed(now, told(error)))
            return
        group = self._seats.group(spec.node, spec.device)
        actor = self._actor_class.options(
            num_cpus=0,  # Ray would otherwise count every actor as a core, and wait for ever on a small machine
            num_gpus=spec.num_gpus,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(spec.node, soft=False)
            if group is None
            else PlacementGroupSchedulingStrategy(group, 0),
        ).remote(self._store.location)
        self._workers[spec.name] = Worker(spec, actor, is_first, deaths_in_a_row, num_replaced)
        answer_name = self._answer_name(spec.name)
        greeting = Greeting(
            self._token_name, self._token, answer_name, self._catalog, self._weights, self._offload, spec
        )
        self._calls[actor.hello.remote(greeting)] = Call(spec.name)

    def _freshen_token(self, now: float) -> None:
        """Write the token for those who read it next."""
        if self._token_at is None or now - self._token_at > TOKEN_FRESH_S:
            self._store.put_token(self._token_name, self._token)
            self._token_at = now

    def _bring_up_again(self, gone: Worker, *, is_death: bool) -> None:
        """Start a fresh process for a worker whose old one ended, unless that leads nowhere."""
        deaths = gone.deaths_in_a_row + is_death
        if gone.has_joined and not any(worker.has_joined for worker in self._workers.values()):
            deaths = 0  # nobody else is left: tasks that kill whoever has them come to their own end
        if deaths >= MAX_DEATHS_IN_A_ROW:
            self._spent.add(gone.spec.node)
            self._broken.add((gone.spec.node, gone.spec.device))
        elif self._cluster.stays(gone.spec.node):
            self._bring_up(gone.spec, deaths_in_a_row=deaths, num_replaced=gone.num_replaced)

    def _end(self, name: str) -> Worker | None:
        """Kill a worker's process, whatever is left of it, and forget all that was asked of it."""
        worker = self._workers.pop(name, None)
        if worker is not None:
            for ref in [ref for ref, call in self._calls.items() if call.worker == name]:
                del self._calls[ref]
            if self._cluster.is_silent:
                worker.actor.leave.remote()  # the kill waits for the head
            ray.kill(worker.actor)
        return worker

    def _answer(self, ref: ray.ObjectRef[Any]) -> Event | None:
        call = self._calls.pop(ref)
        now = time.monotonic()
        worker = self._workers[call.worker]
        try:
            result = ray.get(ref)
        except ray.exceptions.RayTaskError as error:
            return self._raised(call, error, now)
        except ray.exceptions.RayError as error:
            if call.task is None and not self._has_greeted:
                self._check_any_left(worker, error)
            return self._lost(call.worker, now)
        if call.task is None:
            return self._greeted(worker, now)
        worker.deaths_in_a_row, worker.attempt = 0, None
        if result is None:
            return TaskCancelled(now, call.task, call.worker, call.attempt)
        if isinstance(result, Failure):
            return TaskFailed(now, call.task, call.worker, call.attempt, result)
        return TaskDone(now, call.task, call.worker, call.attempt, result)

    def _raised(self, call: Call, error: ray.exceptions.RayTaskError, now: float) -> Event | None:
        """An exception out of an actor method: of the greeting it is the user's to mend, of ``run`` it is our bug."""
        cause = error.cause if isinstance(error.cause, BaseException) else error
        worker = self._workers[call.worker]
        if call.task is None:
            if not isinstance(cause, LtxRayError):
                raise error
            self._refuse(worker, cause)
            return None
        worker.attempt = None
        failure = Failure(type(cause).__name__, str(cause), str(error), retryable=True, cause="bug")
        return TaskFailed(now, call.task, call.worker, call.attempt, failure.told(os.environ))

    def _greeted(self, worker: Worker, now: float) -> Event | None:
        """A worker is ready; it joins if what it wrote to the store can be read here."""
        name = self._answer_name(worker.spec.name)
        try:
            answer = self._store.get_token(name)
        except StoreError as error:
            if worker.is_first:
                raise
            self._end(worker.spec.name)
            return StoreFailed(now, told(error))
        if answer != self._token:
            where = f"{self._store.location}: what worker {worker.spec.name} writes there cannot be read here"
            self._refuse(worker, StoreError(f"{where}; give --store a place that every node shares"))
            return None
        with suppress(StoreError):  # `gc` takes away what is left
            self._store.drop_token(name)
        self._has_greeted = worker.has_joined = True
        spec = worker.spec
        # Of a card of which nothing is known it is not known either whether all parts stay on it.
        unknown = "swap" if spec.num_gpus else ""
        offload = unknown if spec.budget is None else spec.budget.offload
        return WorkerJoined(now, spec.name, spec.stages, spec.node, spec.card, offload)

    def _refuse(self, worker: Worker, why: LtxRayError) -> None:
        """Go on without a worker that cannot do its part, if the run has begun; raise if it only begins."""
        if worker.is_first:
            raise why
        _log.warning("worker %s gets no work: %s", worker.spec.name, told(why))
        self._end(worker.spec.name)
        if why.retryable:
            self._bring_up_again(worker, is_death=True)
        else:
            self._spent.add(worker.spec.node)

    def _answer_name(self, worker: str) -> str:
        return f"{self._token_name}-{worker}"

    def _check_any_left(self, worker: Worker, error: ray.exceptions.RayError) -> None:
        """Give up with the reason when no worker ever came up and the last one has died for good."""
        self._cluster.machines()  # a head that is gone is the reason of it all
        is_last_death = worker.deaths_in_a_row + 1 >= MAX_DEATHS_IN_A_ROW
        if is_last_death and len(self._workers) == 1:
            raise DoesNotFit(
                "cluster: no worker could start; see that ltx_ray is installed on every node, and RAY_AUTH_MODE is as "
                f"the cluster was started with: {error}"
            ) from error

    def _lost(self, name: str, now: float) -> Event:
        gone = self._end(name)
        assert gone is not None
        if not self._cluster.stays(gone.spec.node):
            return WorkerLost(now, name, "node")
        self._bring_up_again(gone, is_death=True)
        return WorkerLost(now, name, "death")

    def _ask_for_progress(self, now: float) -> None:
        """Note the steps that running workers told, and ask again. One that does not answer made no progress."""
        asked = list(self._questions)
        answered, _ = ray.wait(asked, num_returns=len(asked), timeout=0) if asked else ([], [])
        for ref in answered:
            worker = self._questions.pop(ref)
            worker.is_asked = False
            try:
                steps = ray.get(ref)
            except ray.exceptions.RayError:
                continue  # that it died is told by what it runs
            if not worker.has_joined and now - worker.began_at < GREETING_LIMIT_S:  # it fetches files, and lives
                self._happened.append(WorkersComing(now, worker.spec.node))
            if steps is None or (steps.task, steps.attempt) != worker.attempt:
                continue
            if steps.num_reports > worker.num_reports and self._workers.get(worker.spec.name) is worker:
                worker.num_reports = steps.num_reports
                self._happened.append(
                    TaskProgressed(
                        now,
                        steps.task,
                        worker.spec.name,
                        steps.attempt,
                        steps.step_idx,
                        steps.num_steps,
                        steps.is_loading,
                    )
                )
        for worker in self._workers.values():
            if (worker.attempt is not None or not worker.has_joined) and not worker.is_asked:
                worker.is_asked = True
                self._questions[worker.actor.progress.remote()] = worker

    def _look_at_nodes(self, now: float) -> None:
        """Tell of workers whose machine is going, and put workers on machines that have none."""
        machines = self._cluster.machines()
        leaving = machines.leaving
        for name, worker in self._workers.items():
            if worker.has_joined and worker.spec.node in leaving and not worker.is_leaving:
                worker.is_leaving = True
                left_s = leaving[worker.spec.node]
                self._happened.append(WorkerDraining(now, name, None if left_s is None else now + left_s))
        for node in machines.nodes:
            if node.node not in self._known:
                self._known.add(node.node)
                self._happened.append(WorkersComing(now, node.node))
        taken = {worker.spec.node for worker in self._workers.values()} | self._spent
        spare = [node for node in machines.nodes if node.node not in taken and node.is_of_use]
        if not self._cluster.is_silent:
            self._seats.forget([node for node in self._seats if not self._cluster.stays(node)])
            for node in spare:
                if node.num_gpus and node.node not in self._seats:
                    self._let_in(node.node)
                    self._seats.take(node)
        if without := [node for node in spare if not node.num_gpus]:
            self._settle(without)
        if not self._cluster.is_silent:
            self._ask_for_more()
            self._look_at_stages(now)

    def _look_at_stages(self, now: float) -> None:
        """Place all workers of cards anew where nobody is left for a stage."""
        held = frozenset[Stage]().union(*(worker.spec.stages for worker in self._workers.values()))
        if self._wanted <= held or self._seats.is_waiting or now < self._anew_at or not list(self._seats):
            return
        self._anew_at = now + ANEW_EVERY_S
        _log.warning("nobody is left for %s: workers are placed anew", ", ".join(sorted(self._wanted - held)))
        for name in [name for name, worker in self._workers.items() if worker.spec.num_gpus]:
            self._end(name)
            self._happened.append(WorkerLost(now, name, "replaced"))
        self._seats.close()
        for node in self._cluster.machines().nodes:
            if node.num_gpus:
                self._seats.take(node)

    def _look_at_seats(self) -> None:
        """Put workers on machines whose cards are known by now; at the start of a run on all at once."""
        self._came += self._seats.come()
        if self._has_placed or not self._seats.is_waiting:
            came = [self._without_broken(node) for node in self._came]
            self._came = []
            if not self._has_placed:
                came += [node for node in self._cluster.machines().nodes if node.is_of_use and not node.num_gpus]
            if came:
                self._settle(came)

    def _settle(self, nodes: Sequence[Node]) -> None:
        """Bring up workers on machines that have none."""
        is_first = not (self._has_placed or self._has_greeted)
        if is_first and not nodes and self._demand is not None:
            return  # the run waits for its first machine
        try:
            specs = self._place(nodes, [worker.spec for worker in self._workers.values()])
        except DoesNotFit as error:
            if is_first:
                raise
            _log.warning("no worker is put on %s: %s", ", ".join(node.node[:12] for node in nodes), error)
            specs = []
        self._has_placed = self._has_placed or bool(specs)
        self._wanted |= frozenset[Stage]().union(*(spec.stages for spec in specs))
        for node in nodes:
            self._seats.keep(node.node, [spec.device for spec in specs if spec.node == node.node])
            self._let_in(node.node)
        for spec in specs:
            self._bring_up(replace(spec, name=self._new_name(spec.name)), is_first=is_first)

    def _without_broken(self, node: Node) -> Node:
        whole = tuple(device for device in node.devices if (node.node, device.uuid) not in self._broken)
        return replace(node, devices=whole, num_gpus=len(whole))

    def _let_in(self, node: str) -> None:
        if self._demand is not None and not self._cluster.is_silent:
            self._demand.let_in(node)

    def _new_name(self, name: str) -> str:
        """``name``, or with a number after it where a worker of an earlier machine had it."""
        others = (f"{name}-{number}" for number in itertools.count(2))
        return next(each for each in itertools.chain([name], others) if each not in self._names)

    def _ask_for_more(self) -> None:
        """Keep the cluster told how many workers more have something to do."""
        if self._demand is not None:
            self._demand.ask([worker.spec for worker in self._workers.values()])
