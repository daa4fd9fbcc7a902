"""A run on a virtual clock: the real ``RunState``, workers that only wait, and faults drawn from a seed.

The schedule that is tested and shown by ``plan --simulate`` is the one a cluster gets, because it is the same object
that decides. The same arguments always give the same run.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, islice
from typing import Literal

from ltx_ray.engine.cards import CardClock
from ltx_ray.engine.instructions import CancelAttempt, Dispatch, Instruction, Kill, Retire
from ltx_ray.engine.retry import Limits
from ltx_ray.engine.state import RunState
from ltx_ray.spec.events import (
    Done,
    Event,
    Failure,
    TaskCancelled,
    TaskDone,
    TaskFailed,
    TaskProgressed,
    Tick,
    WorkerJoined,
    WorkerLost,
)
from ltx_ray.spec.task import STAGES, Stage, Task

Durations = Callable[[Task, str], float] | Mapping[Stage, float]  #: seconds, of a task on a worker or per stage
Observer = Callable[[RunState, Event, Sequence[Instruction]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What goes wrong. Rates are chances per attempt, ``late_rate`` per answer."""

    seed: int = 0
    failing: Collection[str] = ()  #: tasks that always fail
    hopeless: Collection[str] = ()  #: tasks that always fail and say that another try is no use
    killing: Collection[str] = ()  #: tasks that always kill the process
    hanging: Collection[str] = ()  #: tasks that never answer, nor to a cancel
    bad_workers: Collection[str] = ()  #: workers on which everything fails
    fail_rate: float = 0.0
    death_rate: float = 0.0
    hang_rate: float = 0.0
    no_memory_rate: float = 0.0  #: of the failures, those for want of device memory
    num_steps: int = 0  #: that an attempt reports, evenly over its time; one that hangs reports the first half
    late_rate: float = 0.0  #: an answer arrives a second time, or although its worker is lost
    respawn_s: float | None = None  #: a dead process is back under its name after so long; None = never


@dataclass(frozen=True, slots=True, kw_only=True)
class Loads:
    """How weights come onto a worker's device, where all it has loaded stays side by side until the worker is lost."""

    module_s: float | Mapping[str, float] = 0.0  #: seconds to load one module, or each of them
    modules: Mapping[Stage, str] = field(default_factory=dict)  #: whose weights a stage needs; not named = none
    #: A worker begins with its first module when it joins and goes on with the others, in the order of ``STAGES``,
    #: beside its tasks. False = each module when the first task needs it.
    ahead: bool = False

    def seconds(self, module: str) -> float:
        return self.module_s[module] if isinstance(self.module_s, Mapping) else self.module_s


@dataclass(frozen=True, slots=True)
class Simulation:
    """How it went. ``state.finished`` is False when no worker was left and no timeout was set."""

    makespan_s: float  #: from 0 to the last answer that counted
    busy_s: dict[str, float]  #: per worker, seconds with a task, waiting for its weights included
    num_events: int
    state: RunState


def simulate(  # noqa: PLR0913 - a run has that many sides, and each has a default
    tasks: Iterable[Task],
    workers: Iterable[tuple[str, Collection[Stage]]],
    *,
    durations: Durations,
    weights: Mapping[Stage, float] | None = None,
    loads: Loads | None = None,
    clock: CardClock | None = None,
    host_s: Callable[[Task], float] = lambda _: 0.0,
    faults: Faults | None = None,
    limits: Limits | None = None,
    script: Iterable[Event] = (),
    observe: Observer | None = None,
) -> Simulation:
    """Run ``tasks`` on ``workers``, all there at time 0; ``script`` adds events of its own at their times.

    ``observe`` is called after every event. ``clock``: workers share cards; ``host_s``: what a task then does on the
    host beside its card. Weights default to ``durations`` where that is a mapping.
    """
    if weights is None and isinstance(durations, Mapping):
        weights = durations
    state = RunState(tasks, weights=weights, limits=limits)
    farm = _Farm(state, durations, loads or Loads(), faults or Faults())
    farm.clock, farm.host_s = clock, host_s
    farm.later(Tick(0.0))  # the wait for workers starts now
    for name, stages in workers:
        farm.later(WorkerJoined(0.0, name, frozenset(stages)))
    for event in script:
        farm.later(event)
    while farm.queue:
        _, _, event, dispatch = heapq.heappop(farm.queue)
        farm.end_shared(event.at)
        for instruction in farm.happen(event, dispatch, observe):
            farm.obey(instruction, event.at)
        farm.wake_for_shared()
        if not farm.queue and (wait_s := _patience_s(state)) is not None:
            farm.later(Tick(event.at + wait_s))
    return Simulation(farm.last_s, farm.busy_s, farm.num_events, state)


def _patience_s(state: RunState) -> float | None:
    """How long it takes until a tick changes something while nothing else happens; None = for ever."""
    if state.starved:
        return state.limits.no_worker_timeout_s
    return state.limits.hang_s if state.board.running else None


def _done(key: str) -> Done:
    return Done(key, f"digest of {key}", 1)


class _Farm:
    """The workers: what they run, when they answer, and how they fail."""

    def __init__(self, state: RunState, durations: Durations, loads: Loads, faults: Faults) -> None:
        self.state, self.durations, self.loads, self.faults = state, durations, loads, faults
        #: Time, order, event, and the attempt that a death belongs to.
        self.queue: list[tuple[float, int, Event, Dispatch | None]] = []
        self.busy_s: dict[str, float] = {}
        self.last_s = 0.0
        self.num_events = 0
        self._num_queued = 0
        self.clock: CardClock | None = None
        self.host_s: Callable[[Task], float] = lambda _: 0.0
        self._wakes_at = math.inf
        self._rng = random.Random(faults.seed)
        self._stages: dict[str, frozenset[Stage]] = {}
        #: What each worker runs: task, attempt, since when.
        self._seats: dict[str, tuple[str, int, float]] = {}
        #: By task: the attempts that never answer.
        self._hung: dict[str, set[tuple[str, int]]] = {}
        #: By worker: when each module is on its device, of those that are or will be.
        self._loaded_at: dict[str, dict[str, float]] = {}

    def later(self, event: Event, dispatch: Dispatch | None = None) -> None:
        """Let an event happen at its time, those of one time in the order given; ``dispatch`` as in ``happen``."""
        self._num_queued += 1
        heapq.heappush(self.queue, (event.at, self._num_queued, event, dispatch))

    def happen(self, event: Event, dispatch: Dispatch | None, observe: Observer | None) -> list[Instruction]:
        """Apply one event, unless it cannot happen any more; a death only happens while ``dispatch`` is running."""
        match event:
            case TaskDone() | TaskFailed() | TaskCancelled():
                is_repeated = self._rng.random() < self.faults.late_rate
                if self._seat(event.worker) == (event.task, event.attempt):
                    self._rise(event.worker, event.at)
                    if is_repeated:
                        self.later(replace(event, at=event.at + self._rng.random()))
                elif not is_repeated:
                    return []
            case TaskProgressed():
                if self._seat(event.worker) != (event.task, event.attempt):
                    return []
            case WorkerJoined(worker=name, stages=stages):
                self._rise(name, event.at)
                self._stages[name] = stages
                self._loaded_at[name] = self._loading(stages, event.at)
            case WorkerLost(worker=name, cause=cause):
                if name not in self._stages or (dispatch and self._seat(name) != (dispatch.task, dispatch.attempt)):
                    return []
                self._rise(name, event.at)
                stages = self._stages.pop(name)
                if cause in ("death", "hang", "replaced") and self.faults.respawn_s is not None:
                    self.later(WorkerJoined(event.at + self.faults.respawn_s, name, stages))
        self.num_events += 1
        instructions = self.state.handle(event)
        if observe is not None:
            observe(self.state, event, instructions)
        return instructions

    def obey(self, instruction: Instruction, at: float) -> None:
        """Carry out one instruction."""
        match instruction:
            case Dispatch():
                self._seats[instruction.worker] = (instruction.task, instruction.attempt, at)
                self._begin(instruction, at)
            case Retire(worker=name):
                self.later(WorkerLost(at, name, "drain"))
            case Kill(worker=name, cause=cause):
                self.later(WorkerLost(at, name, cause))
            case CancelAttempt(task=task, worker=name, attempt=attempt):
                if (name, attempt) not in self._hung.get(task, ()):
                    self.later(TaskCancelled(at, task, name, attempt))

    def end_shared(self, at: float) -> None:
        """Let tasks end that share cards."""
        for name in () if self.clock is None else self.clock.ended(at):
            key, attempt, _ = self._seats[name]
            self.later(TaskDone(at, key, name, attempt, _done(key)))

    def wake_for_shared(self) -> None:
        """Come back when something changes on a card."""
        next_at = math.inf if self.clock is None else self.clock.next_at()
        if next_at < math.inf and next_at != self._wakes_at:
            self._wakes_at = next_at
            self.later(Tick(next_at))

    def _begin(self, dispatch: Dispatch, at: float) -> None:
        """Let everything happen that comes of an attempt."""
        key, name, attempt = dispatch.task, dispatch.worker, dispatch.attempt
        begun = at + self._wait_s(key, name, at)
        end = begun + self._duration_s(key, name)
        outcome, num_steps = self._outcome(key, name), self.faults.num_steps
        for idx in range(num_steps // 2 if outcome == "hang" else num_steps):
            step_at = begun + (end - begun) * idx / num_steps
            self.later(TaskProgressed(step_at, key, name, attempt, idx, num_steps), dispatch)
        match outcome:
            case "hang":
                self._hung.setdefault(key, set()).add((name, attempt))
            case "death":
                self.later(WorkerLost(end, name, "death"), dispatch)
            case "hopeless":
                hopeless = Failure("Hopeless", "always", "", retryable=False, cause="stage")
                self.later(TaskFailed(end, key, name, attempt, hopeless))
            case "failure":
                self.later(TaskFailed(end, key, name, attempt, self._failure()))
            case "done" if self.clock is not None:
                host_s = self.host_s(self.state.tasks[key])
                self.clock.begin(name, at, starts_at=begun, card_s=end - begun, host_s=host_s)
            case "done":
                self.later(TaskDone(end, key, name, attempt, _done(key)))

    def _failure(self) -> Failure:
        is_of_memory = self.faults.no_memory_rate and self._rng.random() < self.faults.no_memory_rate
        return Failure("Simulated", "by chance", "", cause="memory" if is_of_memory else "stage")

    def _outcome(self, key: str, name: str) -> Literal["done", "failure", "hopeless", "death", "hang"]:
        faults, chance = self.faults, self._rng.random()
        if key in faults.hanging or chance > 1.0 - faults.hang_rate:
            return "hang"
        if key in faults.killing or chance < faults.death_rate:
            return "death"
        if key in faults.hopeless:
            return "hopeless"
        is_bad = key in faults.failing or name in faults.bad_workers
        return "failure" if is_bad or chance < faults.death_rate + faults.fail_rate else "done"

    def _loading(self, stages: Collection[Stage], at: float) -> dict[str, float]:
        """When a worker that joins will have what it loads of its own accord."""
        if not self.loads.ahead:
            return {}
        modules = dict.fromkeys(self.loads.modules[s] for s in STAGES if s in stages and s in self.loads.modules)
        ready_at = accumulate((self.loads.seconds(module) for module in modules), initial=at)
        return dict(zip(modules, islice(ready_at, 1, None), strict=True))

    def _wait_s(self, key: str, name: str, at: float) -> float:
        """Until the weights of a task are on the worker's device."""
        module = self.loads.modules.get(self.state.tasks[key].stage)
        if module is None:
            return 0.0
        return max(0.0, self._loaded_at[name].setdefault(module, at + self.loads.seconds(module)) - at)

    def _duration_s(self, key: str, name: str) -> float:
        task = self.state.tasks[key]
        if isinstance(self.durations, Mapping):
            return self.durations.get(task.stage, 1.0)
        return self.durations(task, name)

    def _seat(self, name: str) -> tuple[str, int] | None:
        seat = self._seats.get(name)
        return seat[:2] if seat else None

    def _rise(self, name: str, at: float) -> None:
        """A worker leaves its seat."""
        seat = self._seats.pop(name, None)
        if self.clock is not None:
            self.clock.drop(name, at)
        if seat is not None:
            self.busy_s[name] = self.busy_s.get(name, 0.0) + at - seat[2]
            self.last_s = at
