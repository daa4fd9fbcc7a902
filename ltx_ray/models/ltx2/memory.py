"""How much of a device parts may fill, and when one of them stays in host memory. Pure.

A worker that was placed has a budget, made of what its plan computes. Any other process leaves a share of its device to
what is computed there, which grows with the size of a segment.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ltx_ray.errors import ModelError
from ltx_ray.spec.machine import OFFLOADS, Budget, Offload
from ltx_ray.spec.weights import Part

#: Gigabytes of a device that may be used, in place of all it has.
LIMIT_VARIABLE, OFFLOAD_VARIABLE = "LTX_RAY_DEVICE_MEMORY_GB", "LTX_RAY_OFFLOAD"
#: Of a device for weights; the rest is for activations. 24 GB then hold a transformer of 18 GB beside its work.
WEIGHTS_SHARE = 0.75
#: Parts whose blocks can pass over a device.
HAS_BLOCKS: frozenset[Part] = frozenset({"transformer", "text_encoder"})
#: Of host memory for blocks that pass over a device.
HOST_SHARE = 0.75
#: What a container may use of it, or "max".
_CGROUP = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True, slots=True)
class Memory:
    """A device, as parts see it."""

    device: str
    limit_bytes: int | None = None  #: None = no limit
    offload: Offload = "auto"
    host_bytes: int | None = None  #: that parts may fill outside the device; None = no limit
    budget: Budget | None = None  #: None = this process was not placed

    def weights_bytes(self, needed: Collection[Part] = ()) -> int | None:
        """For all parts together, while a stage computes that uses those ``needed``; None = no limit."""
        if self.budget is not None:
            return self.budget.weights_bytes(needed)
        return None if self.limit_bytes is None else int(self.limit_bytes * WEIGHTS_SHARE)

    def streams(self, num_bytes: int, *, part: Part) -> bool:
        """Whether a part keeps its blocks in host memory; it takes so many bytes, with the others of its stage."""
        if part not in HAS_BLOCKS or self.offload in ("none", "swap"):
            return False
        if self.offload == "block":
            return True
        if self.budget is not None:
            return part in self.budget.streamed
        limit = self.weights_bytes()
        return limit is not None and num_bytes > limit

    @property
    def parks(self) -> bool:
        """Whether a part that leaves the device stays in host memory."""
        return self.budget is not None and self.budget.offload != "none"


def read_limit(text: str | None) -> int | None:
    """Bytes of what LIMIT_VARIABLE says; None = nothing.

    Raises:
        ModelError: it says no number of gigabytes.
    """
    if not text:
        return None
    try:
        limit = float(text)
    except ValueError:
        limit = 0.0
    if not 0 < limit < 1e6:
        raise ModelError(f"${LIMIT_VARIABLE}: {text!r} is no number of gigabytes; write 24, or leave it out")
    return int(limit * 1e9)


def memory_here(offload: Offload | None = None, budget: Budget | None = None) -> Memory:
    """Of the device that this process computes on, which it takes no more of than its budget."""
    import torch

    told = offload or os.environ.get(OFFLOAD_VARIABLE) or "auto"
    if told not in OFFLOADS:
        raise ModelError(f"${OFFLOAD_VARIABLE}: {told!r} is not one of {', '.join(OFFLOADS)}")
    limit = read_limit(os.environ.get(LIMIT_VARIABLE))
    if not torch.cuda.is_available():
        return Memory("cpu", limit, told, None if budget is None else budget.host_bytes, budget)
    total = torch.cuda.mem_get_info()[1]
    if budget is not None:
        torch.cuda.set_per_process_memory_fraction(min(1.0, (budget.cap_bytes - budget.own_bytes) / total))
        return Memory("cuda", total, told, budget.host_bytes, budget)
    return Memory("cuda", total if limit is None else min(limit, total), told, int(host_memory() * HOST_SHARE))


def host_memory(cgroup: Path = _CGROUP) -> int:
    """Bytes of this machine's memory, or of its container's."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(total, int(cgroup.read_text("ascii")))
    except (OSError, ValueError):  # there is no container, or "max"
        return total
