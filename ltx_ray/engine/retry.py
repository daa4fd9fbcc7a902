"""When to stop trying: the rules, apart from the state they are applied to.

A death is the process alone, by itself or killed because it hung; node loss, drain and cancel never come here. A
failure that is not retryable is final at once: the same input fails the same way everywhere.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from ltx_ray.engine.story import Progress
from ltx_ray.spec.events import Cause, Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is tolerated. ``no_worker_timeout_s``, ``hang_s`` and ``load_s`` None = wait forever."""

    failures: int = 3  #: of one task, on two workers where there are two; twice as many wherever they were
    deaths: int = 3  #: of workers under one task
    strikes: int = 3  #: different tasks one worker fails that no other worker failed
    stage_failures: int = 3  #: tasks of one stage failed for good, none done, before the stage is doubted
    no_worker_timeout_s: float | None = None
    #: An attempt that reports no step for so long hangs and is killed; one without steps counts from its start.
    hang_s: float | None = 900.0
    load_s: float | None = (
        1800.0  #: the same, while weights come from files and until the first step after that is done
    )
    drain_grace_s: float = 10.0  #: so long before its node goes, a task is asked to stop


class Verdict(NamedTuple):
    """A task has failed for good."""

    cause: Cause
    why: str  #: one sentence


def is_store_fault(failure: Failure) -> bool:
    """Whether a failure says that the run's storage cannot be used until a person acts.

    Every other task would be computed and lost as well.
    """
    return failure.cause == "storage" and not failure.retryable


def why_final(progress: Progress, limits: Limits, *, num_untried: int) -> Verdict | None:
    """Why this task gets no further attempt, or None; ``num_untried`` able workers have not had it yet."""
    failures, tried = progress.failures, progress.tried
    if failures and not failures[-1].failure.retryable:
        last = failures[-1].failure
        return Verdict(last.cause, f"{last.kind}: {last.message}")
    if len(progress.deaths) >= limits.deaths:
        hung = f", {progress.num_hangs} of them by hanging" if progress.num_hangs else ""
        return Verdict("death", f"{len(progress.deaths)} workers died under it{hung}: {_names(progress.deaths)}")
    on_enough = len(tried) >= 2 or num_untried == 0
    if (len(failures) >= limits.failures and on_enough) or len(failures) >= 2 * limits.failures:
        last = failures[-1].failure
        why = f"failed {len(failures)} times on {_names(tried)}, last with {last.kind}: {last.message}"
        return Verdict(last.cause, why)
    return None


def why_quarantine(strikes: Collection[str], limits: Limits, *, is_needed: bool) -> str | None:
    """Why this worker should get no more work, or None; ``is_needed`` = a stage with work has no other worker."""
    if len(strikes) < limits.strikes or is_needed:
        return None
    return f"failed {len(strikes)} different tasks that no other worker failed"


def _names(workers: Collection[str]) -> str:
    return ", ".join(sorted(set(workers)))
