"""Machines and the workers put on them, as the planner, the cluster and the engine all say them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal, get_args

from ltx_ray.spec.task import Stage
from ltx_ray.spec.weights import Part, Weights

#: How a process holds the parts it needs: all on its device ("none"); those it needs now, the others in host memory
#: ("swap"); so, and of a part that does not fit the blocks pass over the device one by one ("block"); or as its device
#: makes it necessary ("auto").
Offload = Literal["auto", "none", "swap", "block"]
OFFLOADS: tuple[Offload, ...] = get_args(Offload)


#: What is computed took more than was predicted: it gets so many times as much.
MORE_BESIDE = 1.5


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a process may take of its device."""

    cap_bytes: int  #: all of it: the driver's own, weights, and what is computed beside them
    own_bytes: int  #: of the driver, for every process that computes there
    #: What is computed beside the weights at most, by the parts that a stage uses.
    beside: tuple[tuple[frozenset[Part], int], ...]
    offload: Offload
    streamed: tuple[Part, ...] = ()  #: parts whose blocks pass over the device
    host_bytes: int | None  #: of host memory, for parts that leave the device; None = no limit

    def weights_bytes(self, needed: Collection[Part]) -> int:
        """For all parts together while a stage computes that uses these."""
        most = max((num_bytes for _, num_bytes in self.beside), default=0)
        return self.cap_bytes - self.own_bytes - dict(self.beside).get(frozenset(needed), most)

    def with_less(self, parts: Collection[Part]) -> Budget:
        """For a process that follows one which ran out of memory: more is left beside the weights, and less of these
        ``parts`` stays on the device."""
        beside = tuple((kinds, int(num_bytes * MORE_BESIDE)) for kinds, num_bytes in self.beside)
        if self.offload == "none":
            return replace(self, beside=beside, offload="swap")
        return replace(self, beside=beside, offload="block", streamed=tuple(dict.fromkeys((*self.streamed, *parts))))


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSpec:
    """A process to start: on which node, for which stages, and on which card."""

    name: str
    node: str
    stages: frozenset[Stage]
    num_gpus: float = 0  #: its share of a card, as Ray counts it
    device: str = ""  #: uuid of the card; "" = whichever it is given, or none
    card: str = ""  #: name of the card; "" = none, or not known
    budget: Budget | None = None  #: None = it takes what it needs
    peak_bytes: int = 0  #: of its budget, what it is predicted to need; 0 = nobody knows
    slowness: float = 1.0  #: times that its tasks take longer because its parts do not all stay on the card
    parts: tuple[Weights, ...] = ()  #: that its stages use, in the order in which they are needed
    why: str = ""  #: one sentence

    @property
    def loads_ahead(self) -> bool:
        """Whether all its parts have room together, so that they can come before they are needed."""
        return self.budget is not None and self.budget.offload == "none"
