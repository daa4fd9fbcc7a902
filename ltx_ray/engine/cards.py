"""Cards on a virtual clock: tasks that compute on the same one at a time share it evenly.

A task computes on its card for some seconds, as many times longer as others compute there, and may work on the host
beside that, an encoder for example: it ends when both have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

#: Seconds of a card's work that are none: what rounding leaves.
NOTHING_S = 1e-9


@dataclass(slots=True)
class _Job:
    starts_at: float  #: until then its weights are on their way
    left_s: float  #: on a card of its own
    host_until: float

    def computes(self, at: float) -> bool:
        return self.left_s > NOTHING_S and self.starts_at <= at + NOTHING_S

    def has_ended(self, at: float) -> bool:
        return self.left_s <= NOTHING_S and max(self.starts_at, self.host_until) <= at + NOTHING_S


class CardClock:
    """What runs on each card. ``cards``: which card a worker computes on; a worker not named has one of its own."""

    def __init__(self, cards: Mapping[str, str]) -> None:
        self._cards = cards
        self._jobs: dict[str, dict[str, _Job]] = {}
        self._at: dict[str, float] = {}

    def begin(self, worker: str, at: float, *, starts_at: float, card_s: float, host_s: float) -> None:
        """A worker's task begins."""
        card = self._cards.get(worker, worker)
        self._advance(card, at)
        self._jobs.setdefault(card, {})[worker] = _Job(starts_at, card_s, starts_at + host_s)

    def drop(self, worker: str, at: float) -> None:
        """Its task is over, however it ended."""
        card = self._cards.get(worker, worker)
        if worker in self._jobs.get(card, {}):
            self._advance(card, at)
            del self._jobs[card][worker]

    def ended(self, at: float) -> list[str]:
        """Workers whose tasks end now; they are dropped."""
        for card in self._jobs:
            self._advance(card, at)
        ended = [name for jobs in self._jobs.values() for name, job in jobs.items() if job.has_ended(at)]
        for worker in ended:
            self.drop(worker, at)
        return ended

    def next_at(self) -> float:
        """When something changes next on any card; infinite where nothing runs."""
        return min((self._next(card) for card, jobs in self._jobs.items() if jobs), default=math.inf)

    def _advance(self, card: str, at: float) -> None:
        before = self._at.get(card, at)
        computing = [job for job in self._jobs.get(card, {}).values() if job.computes(before)]
        for job in computing:
            job.left_s -= (at - before) / len(computing)
        self._at[card] = at

    def _next(self, card: str) -> float:
        jobs, at = list(self._jobs[card].values()), self._at[card]
        computing = [job for job in jobs if job.computes(at)]
        changes = [at + job.left_s * len(computing) for job in computing]
        changes += [job.starts_at for job in jobs if job.starts_at > at + NOTHING_S]
        return min(changes + [job.host_until for job in jobs if job.left_s <= NOTHING_S])
