"""What is known of one task: where it stands, what was tried, and the story of how it got there.

    status    means                                           leaves to
    waiting   a parent of this run is not done                ready, blocked
    ready     every parent is present, no worker has it       running, blocked
    running   exactly one attempt is out at one worker        done, failed, ready, blocked
    done      committed                                       -
    failed    out of attempts                                 -
    blocked   descends from a failed task, or was cancelled, or the run gave up   -

Memory per task is bounded: the middle of a very long story is left out, and counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

from ltx_ray.spec.events import Cause, Done, Failure

Status = Literal["waiting", "ready", "running", "done", "failed", "blocked"]
STATUSES: tuple[Status, ...] = get_args(Status)

#: Changes kept of one task, the first and the last ones.
KEPT_FIRST, KEPT_LAST = 8, 24


class Change(NamedTuple):
    """One change of state; ``cause`` is a phrase for people."""

    at: float
    status: Status
    cause: str

    def __str__(self) -> str:
        return f"{self.at:.1f} s {self.status} ({self.cause})"


class FailedAttempt(NamedTuple):
    worker: str
    attempt: int
    failure: Failure


@dataclass(slots=True)
class Progress:
    """Read it, never write it: only ``RunState.handle`` does. Times are the clock of the events; None = not yet."""

    status: Status = "waiting"
    attempts: int = 0  #: dispatches so far; the current attempt when running
    worker: str | None = None  #: where it runs; None exactly when not running
    failures: tuple[FailedAttempt, ...] = ()
    deaths: tuple[str, ...] = ()  #: workers whose process died under it while their node lived, or was killed as hung
    num_hangs: int = 0  #: of these deaths
    num_missing: int = 0  #: distinct parents of this run that are not done
    started_at: float | None = None  #: of the latest attempt
    is_loading: bool = False  #: the latest attempt loads weights, or makes its first step after that
    moved_at: float | None = None  #: when the latest attempt last reported a step; when it began, until it does
    step_idx: int = 0  #: of the latest attempt
    num_steps: int = 0  #: 0 = it reported none yet
    ended_at: float | None = None  #: when it became done, failed or blocked
    done: Done | None = None  #: set exactly when done in this run
    cause: str = ""  #: why it is failed or blocked, in words
    failed_by: Cause | None = None  #: set exactly when failed
    changes: list[Change] = field(default_factory=list)
    num_omitted: int = 0  #: changes left out after the first KEPT_FIRST

    @property
    def tried(self) -> frozenset[str]:
        """Workers that failed it or died under it."""
        return frozenset(failed.worker for failed in self.failures) | frozenset(self.deaths)

    def enter(self, status: Status, at: float, cause: str) -> None:
        """Change state and remember why."""
        self.status = status
        self.changes.append(Change(at, status, cause))
        if len(self.changes) > KEPT_FIRST + KEPT_LAST:
            del self.changes[KEPT_FIRST]
            self.num_omitted += 1


class RunningTask(NamedTuple):
    """One row of the progress table."""

    task: str
    worker: str
    attempt: int
    started_at: float
    moved_at: float
    step_idx: int
    num_steps: int  #: 0 = no step was reported yet

    @staticmethod
    def of(key: str, progress: Progress) -> RunningTask:
        """The row of a task that runs."""
        assert progress.worker is not None and progress.started_at is not None and progress.moved_at is not None
        return RunningTask(
            key,
            progress.worker,
            progress.attempts,
            progress.started_at,
            progress.moved_at,
            progress.step_idx,
            progress.num_steps,
        )
