"""What can happen in a run, in the past tense. Workers and pools produce these; ``engine.state`` consumes them.

They stand in spec, not in engine, because the worker room says them too and may not see the engine.
Times are seconds on the driver's monotonic clock, given by whoever makes the event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ltx_ray.spec.task import Stage

KillCause = Literal["hang", "replaced", "drain"]
LossCause = Literal["death", "node"] | KillCause


@dataclass(frozen=True, slots=True)
class Done:
    """What a worker says of a committed artifact; the bytes are already durable."""

    key: str
    digest: str
    num_bytes: int
    run_s: float = 0.0  #: seconds in the stage itself
    total_s: float = 0.0  #: with reading parents and committing
    peak_bytes: int = 0  #: peak device memory, or peak resident memory of the process on a CPU


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt raised."""

    kind: str  #: class name of the exception
    message: str
    traceback: str
    retryable: bool = True
    log: tuple[str, ...] = ()  #: the last lines the worker's process said during the attempt


@dataclass(frozen=True, slots=True)
class WorkerJoined:
    at: float
    worker: str
    stages: frozenset[Stage]
    node: str = ""


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """Its process is gone, and a new one comes under its own WorkerJoined, if any.

    A "death" (by itself, while the node lives) and a "hang" (killed, as it got nowhere) count as a death of its task;
    "node", "drain" and "replaced" (killed to get a fresh process) never count.
    """

    at: float
    worker: str
    cause: LossCause = "death"


@dataclass(frozen=True, slots=True)
class WorkerDraining:
    """No new tasks for this worker; what it runs may finish, until ``deadline`` where its node has one."""

    at: float
    worker: str
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class TaskDone:
    at: float
    task: str  #: key
    worker: str
    attempt: int
    done: Done


@dataclass(frozen=True, slots=True)
class TaskFailed:
    at: float
    task: str
    worker: str
    attempt: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class TaskProgressed:
    """The attempt reported a step since the last event of this kind; ``step_idx`` of ``num_steps`` begins."""

    at: float
    task: str
    worker: str
    attempt: int
    step_idx: int
    num_steps: int


@dataclass(frozen=True, slots=True)
class TaskCancelled:
    """The attempt stopped because it was asked to; never counts against the task."""

    at: float
    task: str
    worker: str
    attempt: int


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """``now`` False: start nothing more, let running tasks finish. True: give running tasks up as well."""

    at: float
    now: bool = False


@dataclass(frozen=True, slots=True)
class TasksCancelled:
    """Nobody wants these any more: those that run are stopped, and none of them, nor what needs them, runs again."""

    at: float
    tasks: frozenset[str]


@dataclass(frozen=True, slots=True)
class StoreFailed:
    """The run's storage cannot be used until a person acts: nothing more is dispatched, what runs may end."""

    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Tick:
    at: float


Event = (
    WorkerJoined
    | WorkerLost
    | WorkerDraining
    | TaskProgressed
    | TaskDone
    | TaskFailed
    | TaskCancelled
    | TasksCancelled
    | CancelRequested
    | StoreFailed
    | Tick
)
