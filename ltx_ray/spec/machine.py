"""Machines and the workers put on them, as the planner, the cluster and the engine all say them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ltx_ray.spec.task import Stage

#: Whether the blocks of a part stay in host memory and pass over the device; "auto" = where it does not fit alone.
Offload = Literal["auto", "none", "block"]
OFFLOADS: tuple[Offload, ...] = get_args(Offload)


@dataclass(frozen=True, slots=True)
class Node:
    """One machine of the cluster. ``node`` is the cluster's name for it."""

    node: str
    num_cpus: int
    num_gpus: int

    @property
    def is_of_use(self) -> bool:
        """Whether it offers anything to compute with; a head that is kept free does not."""
        return self.num_cpus > 0 or self.num_gpus > 0


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """A process to start: on which node, for which stages, with how many GPUs."""

    name: str
    node: str
    stages: frozenset[Stage]
    num_gpus: int
