"""How long the store waits for a service that may answer later.

What is tried again is one request of the store, never the work whose result it carries. Waits double and are shortened
at random, so that many workers do not come back at once; a service that says when to come back is believed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ltx_ray.errors import StoreError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """At most ``num_tries``; none begins later than ``limit_s`` after the first."""

    num_tries: int = 6
    first_wait_s: float = 0.5
    limit_s: float = 30.0
    sleep: Callable[[float], object] = time.sleep
    clock: Callable[[], float] = time.monotonic
    share: Callable[[], float] = random.random  #: in [0, 1); how much of a wait's second half is waited

    def try_hard(self, ask: Callable[[], T]) -> T:
        """What ``ask`` returns; its StoreErrors are raised as soon as they must stay, or at the end of patience."""
        last_s = self.clock() + self.limit_s
        turn = 0
        while True:
            turn += 1
            try:
                return ask()
            except StoreError as error:
                wait_s = self._wait_s(turn, error)
                if not error.retryable or turn == self.num_tries or self.clock() + wait_s > last_s:
                    error.is_after_patience = error.retryable
                    raise
            self.sleep(wait_s)

    def _wait_s(self, turn: int, error: StoreError) -> float:
        """Before the next try, after the ``turn``-th, counted from 1."""
        return max(error.retry_after_s or 0.0, self.first_wait_s * 2.0 ** (turn - 1) * (1 + self.share()) / 2)
