"""What can happen in a run, in the past tense. Workers and pools produce these; ``engine.state`` consumes them.

They stand in spec, not in engine, because the worker room says them too and may not see the engine.
Times are seconds on the driver's monotonic clock, given by whoever makes the event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from ltx_ray.spec.redact import redact
from ltx_ray.spec.task import Stage

#: Why an attempt failed, or a task for good. It is decided once, where the exception is at hand, and whoever acts on a
#: failure asks for nothing else.
#:
#:     stage       the stage raised
#:     input_lost  an artifact that it reads is gone or corrupted, which says nothing about the task: it is made again
#:     storage     the storage failed; where another attempt is pointless, that is a fault of the run
#:     memory      the device was out of memory, and the process may hold on to some for good
#:     bug         our own code raised outside the stage
#:     death       nothing was raised: the process died
Cause = Literal["stage", "input_lost", "storage", "memory", "bug", "death"]
CAUSES: tuple[Cause, ...] = get_args(Cause)

KillCause = Literal["hang", "replaced", "drain"]
LossCause = Literal["death", "node"] | KillCause

#: What is kept of a failure at most: the first characters of its message, the last ones of its traceback, and the last
#: lines of its log.
MESSAGE_CHARS = TRACEBACK_CHARS = 4000
LOG_LINES, LINE_CHARS = 50, 500
#: Text is cut after secrets are taken out of it, because half of one is not known as such. What is this many times too
#: long is cut before as well: a message may be of any length.
SPARE = 4


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

    kind: str  #: class name of the exception, for people
    message: str
    traceback: str
    retryable: bool = True
    log: tuple[str, ...] = ()  #: the last lines the worker's process said during the attempt
    cause: Cause = field(kw_only=True)

    def told(self, environ: Mapping[str, str], log: Iterable[str] = ()) -> Failure:
        """As it leaves the process where it was raised: with the ``log``, cut, and without secrets in any of its words.

        ``environ``: of that process.
        """
        return replace(
            self,
            message=redact(self.message[: SPARE * MESSAGE_CHARS], environ)[:MESSAGE_CHARS],
            traceback=redact(self.traceback[-SPARE * TRACEBACK_CHARS :], environ)[-TRACEBACK_CHARS:],
            log=tuple(redact(line[: SPARE * LINE_CHARS], environ)[:LINE_CHARS] for line in [*log][-LOG_LINES:]),
        )


@dataclass(frozen=True, slots=True)
class WorkerJoined:
    at: float
    worker: str
    stages: frozenset[Stage]
    node: str = ""
    card: str = ""  #: name of the card that it computes on; "" = cores
    offload: str = ""  #: how it holds its parts; "" = it was not placed by their memory


@dataclass(frozen=True, slots=True)
class WorkersComing:
    """A machine joined the cluster, or a worker there comes up and lives: whoever waits for workers waits anew."""

    at: float
    node: str


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
    is_loading: bool = False  #: weights come from files, and no step is done since


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
    | WorkersComing
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
