"""Ready tasks, best first: per stage a heap of tasks never tried and a sorted list of those given back.

The two are apart because a task given back may avoid workers that failed it, and because a doubted stage only goes on
with what it has begun. A rank orders tasks: smaller goes first.
"""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from ltx_ray.spec.task import STAGES, Stage


class Rank(NamedTuple):
    """Longest remaining chain first, then plan order, which is unique."""

    minus_chain: float
    order: int
    task: str


class ReadyQueue:
    """Holds exactly the tasks with status "ready"."""

    def __init__(self, ranks: Mapping[str, Rank]) -> None:
        self._ranks = ranks
        self._fresh: dict[Stage, list[Rank]] = {stage: [] for stage in STAGES}
        self._again: dict[Stage, list[Rank]] = {stage: [] for stage in STAGES}

    def push(self, task: str, stage: Stage, *, is_fresh: bool) -> None:
        """Add a task; ``is_fresh`` = it was never dispatched."""
        if is_fresh:
            heapq.heappush(self._fresh[stage], self._ranks[task])
        else:
            bisect.insort(self._again[stage], self._ranks[task])

    def take(self, task: str, stage: Stage) -> None:
        """Remove a task that ``candidates`` offered."""
        fresh, again = self._fresh[stage], self._again[stage]
        if fresh and fresh[0].task == task:
            heapq.heappop(fresh)
        else:
            del again[bisect.bisect_left(again, self._ranks[task])]

    def drop(self, tasks: Collection[str]) -> None:
        """Remove these, wherever they are; looks at everything in it."""
        tasks = frozenset(tasks)
        for queues in (self._fresh, self._again):
            for stage, queue in queues.items():
                queues[stage] = sorted(rank for rank in queue if rank.task not in tasks)

    def clear(self) -> None:
        """Remove everything."""
        for queue in (*self._fresh.values(), *self._again.values()):
            queue.clear()

    def has_again(self, stage: Stage) -> bool:
        """Whether a task of this stage was given back and waits for its next attempt."""
        return bool(self._again[stage])

    def best(self, stage: Stage) -> Rank | None:
        """The first task of a stage, None when it has none."""
        return min((*self._again[stage][:1], *self._fresh[stage][:1]), default=None)

    def candidates(self, stage: Stage, *, with_fresh: bool) -> Iterator[str]:
        """Tasks in order until the best fresh one, which no worker can refuse; then the rest given back."""
        fresh = self._fresh[stage][:1] if with_fresh else []
        for rank in heapq.merge(self._again[stage], fresh):
            yield rank.task

    def tasks(self) -> list[str]:
        """Everything in it, for ``check``."""
        return [rank.task for queue in (*self._fresh.values(), *self._again.values()) for rank in queue]
