from __future__ import annotations

import pytest

from ltx_ray.engine.retry import Limits, is_store_fault, why_final, why_quarantine
from ltx_ray.engine.story import FailedAttempt, Progress
from ltx_ray.spec.events import Failure

LIMITS = Limits()


def tried(*workers: str, deaths: tuple[str, ...] = (), retryable: bool = True) -> Progress:
    failure = Failure("Kind", "message", "", retryable, cause="stage")
    failures = tuple(FailedAttempt(worker, idx + 1, failure) for idx, worker in enumerate(workers))
    return Progress(failures=failures, deaths=deaths)


@pytest.mark.parametrize(
    ("progress", "num_untried", "is_final"),
    [
        (tried("a", "b"), 0, False),
        (tried("a", "b", "a"), 0, True),
        (tried("a", "b", "a"), 5, True),
        (tried("a", "a", "a"), 0, True),
        (tried("a", "a", "a"), 1, False),
        (tried("a", "a", "a", deaths=("b",)), 1, True),
        (tried("a", "a", "a", "a", "a"), 1, False),
        (tried("a", "a", "a", "a", "a", "a"), 1, True),
        (tried(deaths=("a", "a")), 0, False),
        (tried(deaths=("a", "a", "a")), 9, True),
        (tried("a", retryable=False), 9, True),
        (tried(), 0, False),
    ],
)
def test_the_limits_of_trying(progress, num_untried, is_final):
    assert (why_final(progress, LIMITS, num_untried=num_untried) is not None) == is_final


def test_other_limits_are_obeyed():
    failed = why_final(tried("a"), Limits(failures=1), num_untried=0)
    assert failed == ("stage", "failed 1 times on a, last with Kind: message")
    died = why_final(tried(deaths=("a",)), Limits(deaths=1), num_untried=0)
    assert died == ("death", "1 workers died under it: a")


@pytest.mark.parametrize("cause", ["stage", "input_lost", "storage", "memory", "bug"])
@pytest.mark.parametrize("retryable", [True, False])
def test_only_a_storage_that_stays_unusable_is_a_fault_of_the_run_whatever_the_class_is_called(cause, retryable):
    failure = Failure("StoreUnusable", "full", "", retryable, cause=cause)
    assert is_store_fault(failure) == (cause == "storage" and not retryable)


def test_quarantine_needs_three_tasks_and_somebody_else():
    assert why_quarantine({"x", "y"}, LIMITS, is_needed=False) is None
    assert why_quarantine({"x", "y", "z"}, LIMITS, is_needed=True) is None
    assert why_quarantine({"x", "y", "z"}, LIMITS, is_needed=False) is not None
