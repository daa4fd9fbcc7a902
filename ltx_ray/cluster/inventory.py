"""What the machines of a cluster have: their cards as their drivers tell of them, asked on each machine itself."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

from ltx_ray.cluster.head import LiveCluster
from ltx_ray.cluster.join import first_sentence
from ltx_ray.cluster.seats import Look, Seats, card_here
from ltx_ray.spec.finding import Finding
from ltx_ray.spec.machine import Node

LOOK_S = 0.2
#: Machines that do not answer for so long are said to be silent.
ANSWER_S = 60.0


def look_at_cluster(address: str | None) -> tuple[Node, ...]:
    """The machines of the cluster at ``address``, with the cards that are free there now.

    Raises:
        PlanError, DoesNotFit: there is no such cluster.
    """
    from ltx_ray.cluster.environment import prepare_environment

    prepare_environment()
    from ltx_ray.cluster.session import ray_session

    with ray_session(address) as cluster:
        return take_inventory(cluster)


def look_at_machines(address: str) -> Iterator[tuple[str, dict[str, str], list[Finding]]]:
    """Each machine of a cluster by name, the versions of its software, and what was found on it.

    Raises:
        PlanError, DoesNotFit: there is no such cluster.
    """
    from ltx_ray.cluster.environment import prepare_environment

    prepare_environment()
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from ltx_ray.cluster.session import ray_session

    remote: Any = ray.remote(num_cpus=0, max_retries=0)(_found_here)
    with ray_session(address) as cluster:
        asked = {}
        for node in cluster.machines().nodes:
            strategy = NodeAffinitySchedulingStrategy(node.node, soft=False)
            asked[node.node] = remote.options(scheduling_strategy=strategy).remote()
        give_up_at = time.monotonic() + ANSWER_S
        for node_id, ref in asked.items():
            try:
                yield ray.get(ref, timeout=max(0.0, give_up_at - time.monotonic()))
            except ray.exceptions.RayError as error:
                says = f"does not answer: {first_sentence(error)}"
                yield node_id[:12], {}, [Finding("fail", "machine", says, "see its logs, and `ray status`")]


def _found_here() -> tuple[str, dict[str, str], list[Finding]]:
    from ltx_ray.worker.health import look_here, versions_here

    return socket.gethostname(), versions_here(), look_here()


def take_inventory(cluster: LiveCluster, look: Look = card_here) -> tuple[Node, ...]:
    """Its machines, in its order, with the cards that nobody else holds; what does not answer has none."""
    nodes = [node for node in cluster.machines().nodes if node.is_of_use]
    seats = Seats(look)
    try:
        for node in nodes:
            if node.num_gpus:
                seats.take(node)
        seen: dict[str, Node] = {}
        while seats.is_waiting:
            seen |= {node.node: node for node in seats.come()}
            time.sleep(LOOK_S)
        seen |= {node.node: node for node in seats.come()}
    finally:
        seats.close()
    return tuple(seen.get(node.node, node) for node in nodes)
