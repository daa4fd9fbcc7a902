"""Machines and the workers put on them, as the planner, the cluster and the engine all say them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ltx_ray.spec.task import Stage

#: Whether the blocks of a part stay in host memory and pass over the device; "auto" = where it does not fit alone.
Offload = Literal["auto", "none", "block"]
OFFLOADS: tuple[Offload, ...] = get_args(Offload)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A card, or the slice of one (MIG) that processes of its node may use."""

    name: str  #: as its driver says it: "NVIDIA H100 80GB HBM3"
    memory_bytes: int
    free_bytes: int | None = None  #: when it was looked at; None = not known
    uuid: str = ""  #: "GPU-..." or "MIG-..."; "" = nobody looked
    capability: tuple[int, int] | None = None  #: compute capability; None = not known
    driver: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """One machine of the cluster. ``node`` is the cluster's name for it."""

    node: str
    num_cpus: int
    num_gpus: int
    devices: tuple[Device, ...] = ()  #: those that can be used, in the order of the bus; () = nobody looked
    memory_bytes: int | None = None  #: of the machine, or of its container; None = not known
    name: str = ""  #: for people; "" = there is no better one than ``node``

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
