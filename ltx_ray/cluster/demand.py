"""What a run asks of a cluster that grows: placement groups of one worker each, which wait until a machine has room.

A group belongs to the session of its driver and goes with it, also when that is killed. Ray's ``request_resources`` is
one request for the whole cluster: a second run would replace it, and a run that is killed would leave it behind, with
machines that are paid for.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group

from ltx_ray.cluster.head import LiveCluster
from ltx_ray.spec.machine import WorkerSpec

#: The cluster has a limit of its own; this one keeps a plan of thousands of clips from asking for as many machines.
MAX_GROUPS = 256
#: What is left of a large plan takes a while to count.
USEFUL_EVERY_S = 30.0

_log = logging.getLogger(__name__)


class Demand:
    """The machines that a run waits for. Its methods talk to the head: nobody calls them while that is silent."""

    def __init__(self, cluster: LiveCluster, bundle: Mapping[str, float], useful: Callable[[], int]) -> None:
        """Args:
        bundle: what one worker takes of a machine.
        useful: how many workers have something to do; it is asked every ``USEFUL_EVERY_S``.
        """
        self._cluster, self._bundle, self._useful = cluster, dict(bundle), useful
        self._num_useful, self._asked_at = 0, -math.inf
        self._groups: dict[str, PlacementGroup] = {}
        self._is_told = False

    def ask(self, workers: Collection[WorkerSpec]) -> None:
        """Wait for room for as many workers as are useful beside these, and no longer for others."""
        if (now := time.monotonic()) - self._asked_at >= USEFUL_EVERY_S:
            self._num_useful, self._asked_at = self._useful(), now
        at_work = sum(worker.num_gpus if "GPU" in self._bundle else 1 for worker in workers)
        num_workers = min(self._num_useful - round(at_work), MAX_GROUPS)
        placed = self._cluster.placed_groups() if self._groups else {}
        waiting = [id_ for id_ in self._groups if id_ not in placed]
        for id_ in waiting[max(0, num_workers) :]:
            self._remove(id_)
        for _ in range(num_workers - len(waiting)):
            group: Any = placement_group([self._bundle])
            self._groups[group.id.hex()] = group
        if num_workers > 0 and not self._is_told:
            self._is_told = True
            what = ", ".join(f"{amount:g} {resource}" for resource, amount in self._bundle.items())
            _log.warning("asks the cluster to grow, for %d more workers of %s each", num_workers, what)

    def let_in(self, node: str) -> None:
        """Give up what is held on a machine: its workers take it now."""
        for id_, nodes in self._cluster.placed_groups().items() if self._groups else ():
            if node in nodes and id_ in self._groups:
                self._remove(id_)

    def withdraw(self) -> None:
        """Ask for nothing any more."""
        for id_ in list(self._groups):
            self._remove(id_)

    def _remove(self, id_: str) -> None:
        remove_placement_group(self._groups.pop(id_))
