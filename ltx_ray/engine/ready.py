"""Ready tasks, best first: per stage those never tried and those given back.

The two are apart because a task given back may avoid workers that failed it, and because a doubted stage only goes on
with what it has begun. Which goes first depends on how much is left: a task with an urgent chain behind it, the longest
chain first; of those that can wait, the first in the plan, so that videos are finished one after another.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from ltx_ray.spec.task import STAGES, Stage


class Rank(NamedTuple):
    """What decides when a task goes; ``order``, its place in the plan, is unique."""

    level: int  #: of its video: every higher one goes before
    chain: float  #: the heaviest path behind it
    order: int
    task: str

    def turn(self, urgent: float) -> Turn:
        """Its place among others while chains from ``urgent`` on cannot wait."""
        can_wait = self.chain < urgent
        return Turn(-self.level, can_wait, 0.0 if can_wait else -self.chain, self.order, self.task)


class Turn(NamedTuple):
    """Smaller goes first."""

    minus_level: int
    can_wait: bool
    minus_chain: float
    order: int
    task: str


class _Fresh:
    """Tasks never tried, of one stage: the first by chain and the first by order are at hand."""

    def __init__(self) -> None:
        self.ranks: dict[str, Rank] = {}
        self._by_chain: list[tuple[int, float, int, str]] = []
        self._by_order: list[tuple[int, int, str]] = []

    def push(self, rank: Rank) -> None:
        self.ranks[rank.task] = rank
        heapq.heappush(self._by_chain, (-rank.level, -rank.chain, rank.order, rank.task))
        heapq.heappush(self._by_order, (-rank.level, rank.order, rank.task))

    def best(self, urgent: float) -> Rank | None:
        """The one that goes first. Those that were taken from one heap are dropped from the other here."""
        heaps: tuple[list[Any], ...] = (self._by_chain, self._by_order)
        for heap in heaps:
            while heap and heap[0][-1] not in self.ranks:
                heapq.heappop(heap)
        if not self._by_chain:
            return None
        longest, first = self.ranks[self._by_chain[0][-1]], self.ranks[self._by_order[0][-1]]
        return min(longest, first, key=lambda rank: rank.turn(urgent))


class ReadyQueue:
    """Holds exactly the tasks with status "ready"."""

    def __init__(self, ranks: Mapping[str, Rank]) -> None:
        self._ranks = ranks
        self._fresh: dict[Stage, _Fresh] = {stage: _Fresh() for stage in STAGES}
        self._again: dict[Stage, dict[str, Rank]] = {stage: {} for stage in STAGES}

    def push(self, task: str, stage: Stage, *, is_fresh: bool) -> None:
        """Add a task; ``is_fresh`` = it was never dispatched."""
        if is_fresh:
            self._fresh[stage].push(self._ranks[task])
        else:
            self._again[stage][task] = self._ranks[task]

    def take(self, task: str, stage: Stage) -> None:
        """Remove a task that ``candidates`` offered."""
        if self._fresh[stage].ranks.pop(task, None) is None:
            del self._again[stage][task]

    def drop(self, tasks: Collection[str]) -> None:
        """Remove these, wherever they are."""
        for stage in STAGES:
            for task in tasks:
                self._fresh[stage].ranks.pop(task, None)
                self._again[stage].pop(task, None)

    def clear(self) -> None:
        """Remove everything."""
        for stage in STAGES:
            self._fresh[stage].ranks.clear()
            self._again[stage].clear()

    def has_again(self, stage: Stage) -> bool:
        """Whether a task of this stage was given back and waits for its next attempt."""
        return bool(self._again[stage])

    def best(self, stage: Stage, urgent: float = 0.0) -> Turn | None:
        """When the first task of a stage goes, None when it has none; chains from ``urgent`` on cannot wait."""
        fresh = self._fresh[stage].best(urgent)
        ranks = [*self._again[stage].values(), *([] if fresh is None else [fresh])]
        return min((rank.turn(urgent) for rank in ranks), default=None)

    def candidates(self, stage: Stage, *, with_fresh: bool, urgent: float = 0.0) -> Iterator[str]:
        """Tasks in order until the best fresh one, which no worker can refuse; then the rest given back."""
        fresh = self._fresh[stage].best(urgent) if with_fresh else None
        ranks = [*self._again[stage].values(), *([] if fresh is None else [fresh])]
        yield from (turn.task for turn in sorted(rank.turn(urgent) for rank in ranks))

    def tasks(self) -> list[str]:
        """Everything in it, for ``check``."""
        return [task for stage in STAGES for task in (*self._fresh[stage].ranks, *self._again[stage])]
