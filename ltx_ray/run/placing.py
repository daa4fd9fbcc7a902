"""Where the tasks of a plan go: its work, the sizes of its weights, and the machines, brought together.

``ltx-ray plan`` shows what this says, and a render does it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ltx_ray.engine.priority import STAGE_WEIGHTS
from ltx_ray.plan.placement import Placement, Wishes, place, useful_workers
from ltx_ray.plan.work import PartSize, Work, work_of
from ltx_ray.spec.machine import Node, WorkerSpec
from ltx_ray.spec.task import Task
from ltx_ray.spec.weights import Weights

if TYPE_CHECKING:
    from ltx_ray.models.catalog import Catalog


class Placing:
    """Of one plan, or of what is left of it."""

    def __init__(
        self,
        tasks: Mapping[str, Task],
        catalog: Catalog,
        wishes: Wishes,
        *,
        is_left: Callable[[str], bool] = lambda key: True,
    ) -> None:
        """``is_left``: whether a task still has to be made; it is asked whenever machines come."""
        self.tasks, self.catalog, self.wishes = tasks, catalog, wishes
        self._is_left = is_left

    @property
    def left(self) -> dict[str, Task]:
        return {key: task for key, task in self.tasks.items() if self._is_left(key)}

    def work(self) -> Work:
        return work_of(self.left, seconds=_seconds, costs={}, size=self._size)

    def place(self, nodes: Sequence[Node], workers: Collection[WorkerSpec] = ()) -> Placement:
        """Workers for these machines, beside those that there are.

        Raises:
            DoesNotFit: there are none, and these machines bear none that could do the work.
        """
        wishes, limit = self.wishes, self.wishes.max_workers
        if workers:
            if limit is not None and len(workers) >= limit:
                return Placement(())
            wishes = replace(wishes, max_workers=None if limit is None else limit - len(workers))
        return place(nodes, self.work(), wishes)

    def useful(self, *, gpu_only: bool) -> int:
        """How many workers have something to do."""
        wanted = useful_workers(self.left, STAGE_WEIGHTS, gpu_only=gpu_only)
        return min(wanted, self.wishes.max_workers or wanted)

    def _size(self, weights: Weights) -> PartSize:
        return PartSize(0)


def _seconds(task: Task) -> float:
    return STAGE_WEIGHTS[task.stage]
