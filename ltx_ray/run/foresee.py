"""What a plan would do on a cluster: which worker on which card holds what, and what it all takes.

The cluster is this machine, one of Ray that is looked at, or one that a file describes and that need not exist.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ltx_ray.errors import DoesNotFit
from ltx_ray.plan.layouts import GIB
from ltx_ray.plan.placement import Placement
from ltx_ray.run.estimate import Estimate, shown_duration
from ltx_ray.run.placing import Placing, measured
from ltx_ray.spec.machine import Node
from ltx_ray.spec.stages import STAGES

if TYPE_CHECKING:
    from ltx_ray.models.catalog import Catalog
    from ltx_ray.run.dry import DryRun
    from ltx_ray.run.options import RenderOptions
    from ltx_ray.spec.records import Record

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Foreseen:
    """Where a plan goes on these machines."""

    nodes: tuple[Node, ...]
    placement: Placement
    estimate: Estimate | None  #: None = nothing is left to make, or nothing is known of what computes there

    def placement_rows(self) -> list[dict[str, Any]]:
        """A worker each, for programs."""
        machines = {node.node: node.name or node.node for node in self.nodes}
        return [
            {
                "worker": worker.name,
                "node": machines[worker.node],
                "device": worker.card or None,
                "device_id": worker.device or None,
                "share": worker.num_gpus,
                "stages": [stage for stage in STAGES if stage in worker.stages],
                "parts": [f"{part.part} {part.precision}" for part in worker.parts],
                "precision": {part.part: part.precision for part in worker.parts},
                "offload": None if worker.budget is None else worker.budget.offload,
                "peak_gib": None if worker.budget is None else round(worker.peak_bytes / GIB, 2),
                "budget_gib": None if worker.budget is None else round(worker.budget.cap_bytes / GIB, 2),
                "why": worker.why,
            }
            for worker in self.placement.workers
        ]

    def estimate_row(self) -> dict[str, Any] | None:
        """For programs."""
        found = self.estimate
        if found is None:
            return None
        row = {key: value for key, value in asdict(found).items() if key != "peak_bytes"}
        peaks = {name: round(num_bytes / GIB, 2) for name, num_bytes in found.peak_bytes.items()}
        return row | {"gpu_hours": found.gpu_hours, "peak_gib": peaks, "basis": found.basis}

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"{'worker':<10}{'on':<34}{'GiB':>13}  stages"
        for row in self.placement_rows():
            where = f"{row['node']}, {row['device']}" if row["device"] else row["node"]
            size = "" if row["peak_gib"] is None else f"{row['peak_gib']:.1f} of {row['budget_gib']:.1f}"
            yield f"{row['worker']:<10}{where[:33]:<34}{size:>13}  {', '.join(row['stages'])}; {row['why']}"
        yield from self._totals()

    def _totals(self) -> Iterator[str]:
        found = self.estimate
        if found is None:
            return
        low, high = (shown_duration(each) for each in found.band)
        yield f"takes about {shown_duration(found.wall_s)} ({low} to {high}; {found.basis})"
        if found.card_hours:
            hours = ", ".join(f"{each:.2f} of {name}" for name, each in found.card_hours.items())
            cost = "" if found.cost is None else f"; costs about {found.cost:.2f}"
            yield f"{found.gpu_hours:.2f} hours of cards ({hours}), busy for {100 * found.busy:.0f} %{cost}"


def foresee(
    dry: DryRun,
    options: RenderOptions,
    catalog: Catalog,
    *,
    cluster: str | None,
    address: str | None = None,
    history: Sequence[Record] = (),
) -> Foreseen | None:
    """Where what is to make of a plan goes; None = no cluster was named, and this machine has no cards.

    Args:
        cluster: ``auto``, a file, or None.
        address: of a cluster of Ray, for ``auto``; None = this machine.
        history: what the run's journal says, which corrects the times.

    Raises:
        ManifestError: the file says no cluster.
        DoesNotFit: the plan does not fit there, or takes more than it may.
    """
    nodes: tuple[Node, ...] = (machine_here(),)
    prices = options.prices
    if cluster is None or (cluster == AUTO and address is None):
        if cluster is None and not nodes[0].devices:
            return None
    elif cluster == AUTO:
        from ltx_ray.cluster.inventory import look_at_cluster

        nodes = look_at_cluster(address)
    else:
        from ltx_ray.manifest.cluster import read_cluster

        described = read_cluster(cluster)
        nodes, prices = described.nodes, prices if prices is not None else described.prices
    tasks = {key: task for key, task in dry.plan.tasks.items() if key in dry.needed and task.stage != "ingest"}
    if not tasks:
        return None
    asked = replace(options.asked, prices=prices)
    placing = Placing(tasks, catalog, asked, plan=dry.plan.tasks, measured=measured(dry.plan.tasks, history))
    try:
        placement = placing.place(nodes)
    except DoesNotFit:
        if cluster is None:  # nobody asked; whoever renders is told
            return None
        raise
    return Foreseen(nodes, placement, placing.estimate)


def machine_here() -> Node:
    """This machine, as a cluster of its own."""
    from ltx_ray.models.ltx2.memory import host_memory
    from ltx_ray.worker.devices import devices_here

    devices = devices_here()
    return Node("here", os.cpu_count() or 1, len(devices), devices, host_memory(), socket.gethostname())
