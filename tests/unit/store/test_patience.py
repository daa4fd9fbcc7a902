from __future__ import annotations

import pytest

from ltx_ray.errors import StoreError, StoreUnusable
from ltx_ray.store.patience import Patience
from tests.fakes import FakeClock


class Request:
    """Fails as it is told, then succeeds; notes when it was tried."""

    def __init__(self, clock, *faults):
        self.clock, self.faults, self.tried_at = clock, list(faults), []

    def __call__(self):
        self.tried_at.append(self.clock())
        if self.faults:
            raise self.faults.pop(0)
        return "done"


@pytest.fixture
def clock():
    return FakeClock()


def patience(clock, **fields):
    return Patience(**{"sleep": clock.advance, "clock": clock, "share": lambda: 1.0, **fields})


def busy(wait_s=None):
    error = StoreError("busy")
    error.retry_after_s = wait_s
    return error


def test_what_succeeds_is_asked_once(clock):
    request = Request(clock)
    assert patience(clock).try_hard(request) == "done"
    assert request.tried_at == [0.0]


def test_waits_double(clock):
    request = Request(clock, *[busy() for _ in range(5)])
    assert patience(clock).try_hard(request) == "done"
    assert request.tried_at == [0.0, 0.5, 1.5, 3.5, 7.5, 15.5]


def test_half_of_a_wait_is_left_to_chance(clock):
    request = Request(clock, busy(), busy())
    patience(clock, share=lambda: 0.0).try_hard(request)
    assert request.tried_at == [0.0, 0.25, 0.75]


def test_the_last_fault_is_raised_when_patience_ends(clock):
    faults = [busy() for _ in range(9)]
    with pytest.raises(StoreError) as caught:
        patience(clock).try_hard(Request(clock, *faults))
    assert caught.value is faults[5]


@pytest.mark.parametrize("fault", [StoreUnusable("full"), KeyError("a bug")])
def test_what_stays_is_raised_at_once(clock, fault):
    request = Request(clock, fault)
    with pytest.raises(type(fault)):
        patience(clock).try_hard(request)
    assert request.tried_at == [0.0]


def test_no_try_begins_after_the_limit(clock):
    """A client that itself waits for long is not asked six times."""

    def slow():
        tried_at.append(clock())
        clock.advance(20.0)
        raise busy()

    tried_at = []
    with pytest.raises(StoreError):
        patience(clock).try_hard(slow)
    assert tried_at == [0.0, 20.5]


def test_the_wait_that_a_service_asks_for_is_waited(clock):
    request = Request(clock, busy(7.0), busy(0.1))
    patience(clock).try_hard(request)
    assert request.tried_at == [0.0, 7.0, 8.0]


def test_a_wait_beyond_the_limit_is_not_begun(clock):
    with pytest.raises(StoreError):
        patience(clock).try_hard(Request(clock, busy(3600.0)))
    assert clock.now_s == 0.0


def test_an_interrupt_ends_the_wait(clock):
    def interrupted(seconds):
        raise KeyboardInterrupt

    request = Request(clock, busy())
    with pytest.raises(KeyboardInterrupt):
        patience(clock, sleep=interrupted).try_hard(request)
    assert len(request.tried_at) == 1
