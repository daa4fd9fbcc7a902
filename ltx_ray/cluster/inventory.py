"""What the machines of a cluster have: their cards as their drivers tell of them, asked on each machine itself."""

from __future__ import annotations

import time

from ltx_ray.cluster.head import LiveCluster
from ltx_ray.cluster.seats import Look, Seats, card_here
from ltx_ray.spec.machine import Node

LOOK_S = 0.2


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
