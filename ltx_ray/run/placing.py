"""Where the tasks of a plan go, and what they will take: its work, its weights and the machines, brought together.

``ltx-ray plan`` shows what this says, and a render does it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from ltx_ray.engine.priority import STAGE_WEIGHTS
from ltx_ray.plan.costs import costs_of, pictures_of, size_of
from ltx_ray.plan.placement import Placement, Wishes, place, placements, useful_workers
from ltx_ray.plan.seconds import Measured, Seconds
from ltx_ray.plan.work import Work, work_of
from ltx_ray.run.estimate import Ceilings, Estimate, estimate
from ltx_ray.spec.machine import Node, WorkerSpec
from ltx_ray.spec.records import Done, Record, WorkerJoined
from ltx_ray.spec.task import Task

if TYPE_CHECKING:
    from ltx_ray.models.catalog import Catalog
    from ltx_ray.spec.model import ModelFacts


#: Placements that are held against each other by simulation, and tasks that all these simulations together may have:
#: a second's work.
MAX_JUDGED, MAX_SIMULATED = 24, 6000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a user says of the workers of a run; none of it changes a byte of the result."""

    wishes: Wishes = field(default_factory=Wishes)
    ceilings: Ceilings = field(default_factory=Ceilings)
    prices: Mapping[str, float] | None = None  #: of a card for an hour, by a part of its name; "" = of every card


class Placing:
    """Of one plan, or of what is left of it."""

    def __init__(
        self,
        tasks: Mapping[str, Task],
        catalog: Catalog,
        asked: Asked,
        *,
        plan: Mapping[str, Task] | None = None,
        is_left: Callable[[str], bool] = lambda key: True,
        measured: Collection[Measured] = (),
    ) -> None:
        """Args:
        tasks: to make, parents before children.
        plan: all tasks of the plan, from which some of the ``tasks`` take their inputs; None = they are all.
        is_left: whether a task still has to be made; it is asked whenever machines come.
        measured: tasks that were made before.
        """
        self.tasks, self.catalog, self.asked = tasks, catalog, asked
        self._plan = tasks if plan is None else plan
        self._is_left, self._measured = is_left, measured
        #: Of the workers that the run began with; None = nothing is known of what computes there.
        self.estimate: Estimate | None = None

    @property
    def left(self) -> dict[str, Task]:
        return {key: task for key, task in self.tasks.items() if self._is_left(key)}

    @cached_property
    def seconds(self) -> Seconds:
        costs = costs_of(self._plan, self._models)
        return Seconds(costs, pictures_of(self._plan)).corrected(self._measured)

    def work(self, tasks: Mapping[str, Task]) -> Work:
        return work_of(
            tasks,
            seconds=self.seconds.on_reference,
            host_seconds=self.seconds.on_host,
            costs=self.seconds.costs,
            size=lambda weights: size_of(weights, self._models),
        )

    @property
    def _models(self) -> list[ModelFacts]:
        """Those that were looked at: the plan names no others."""
        return [entry.facts for entry in self.catalog.entries]

    def place(self, nodes: Sequence[Node], workers: Collection[WorkerSpec] = ()) -> Placement:
        """Workers for these machines, beside those that there are.

        Raises:
            DoesNotFit: these machines bear none that could do the work, or it takes more than it may.
        """
        wishes, limit = self.asked.wishes, self.asked.wishes.max_workers
        tasks = self.left
        work = self.work(tasks)
        if workers:
            if limit is not None and len(workers) >= limit:
                return Placement(())
            wishes = replace(wishes, max_workers=None if limit is None else limit - len(workers))
            return place(nodes, work, wishes)
        most = min(MAX_JUDGED, max(1, MAX_SIMULATED // max(1, len(tasks))))
        found = placements(nodes, work, wishes, most=most)
        judged = [
            estimate(tasks, each, nodes, work=work, seconds=self.seconds, prices=self.asked.prices) for each in found
        ]
        # Of those that take the same time, the most promising by prediction.
        best = min(range(len(found)), key=lambda idx: math.inf if (each := judged[idx]) is None else each.wall_s)
        placement, self.estimate = found[best], judged[best]
        if self.estimate is not None:
            self.estimate.check(self.asked.ceilings)
        return placement

    def useful(self, *, gpu_only: bool) -> int:
        """How many workers have something to do."""
        wanted = useful_workers(self.left, STAGE_WEIGHTS, gpu_only=gpu_only)
        return min(wanted, self.asked.wishes.max_workers or wanted)


def measured(tasks: Mapping[str, Task], history: Iterable[Record]) -> list[Measured]:
    """What a journal says of how long tasks of a plan took, and on which card."""
    cards: dict[str, str] = {}
    found: list[Measured] = []
    for record in history:
        if isinstance(record, WorkerJoined):
            cards[record.worker] = record.card or ""
        elif isinstance(record, Done) and record.worker in cards and record.task in tasks:
            found.append(Measured(tasks[record.task], cards[record.worker], record.run_s))
    return found
