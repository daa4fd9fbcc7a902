"""Which workers to start, from what the machines have. Pure: the inventory comes in, worker specifications go out.

A GPU becomes one worker that holds every stage which computes on it. A node without GPUs is one device of as many
workers as it has cores, each with all stages; decoding and encoding are what keeps them busy. A node that offers
neither, as a head that is kept free, gets none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ltx_ray.errors import DoesNotFit
from ltx_ray.spec.machine import Node, WorkerSpec
from ltx_ray.spec.stages import SPECS, STAGES, Stage
from ltx_ray.spec.task import Task

ALL_STAGES: frozenset[Stage] = frozenset(STAGES)
#: Stages that never touch a GPU; a GPU node gets one worker for them beside its GPU workers.
FILE_STAGES: frozenset[Stage] = frozenset(stage for stage, spec in SPECS.items() if spec.device != "gpu")

#: A stage is bound to so many times the workers that its work would fill: they are then seldom all busy with others.
#: By simulation of chained segments, 4 lets decoding pile up behind refining, and above 8 little changes.
HOSTS_PER_SHARE = 12
#: A failed task is tried on another worker, so there has to be one.
MIN_HOSTS = 2


def place(nodes: list[Node], *, max_workers: int | None, num_tasks: int) -> list[WorkerSpec]:
    """Workers for ``num_tasks`` tasks, at most ``max_workers`` (None = as many as the machines bear).

    Raises:
        DoesNotFit: there is nothing to run on.
    """
    specs: list[WorkerSpec] = []
    for node_idx, node in enumerate(nodes):
        if node.num_gpus:
            gpu_stages = ALL_STAGES - FILE_STAGES
            specs += [
                WorkerSpec(f"gpu{node_idx}.{gpu_idx}", node.node, gpu_stages, 1) for gpu_idx in range(node.num_gpus)
            ]
            specs.append(WorkerSpec(f"cpu{node_idx}.0", node.node, FILE_STAGES, 0))
        else:
            specs += [
                WorkerSpec(f"cpu{node_idx}.{core_idx}", node.node, ALL_STAGES, 0) for core_idx in range(node.num_cpus)
            ]
    if not specs:
        raise DoesNotFit("cluster: no node offers a core or a GPU; start one with `ray start`, or leave --address out")
    return _spread(specs, min(max_workers or len(specs), num_tasks))


def useful_workers(tasks: Mapping[str, Task], seconds: Mapping[Stage, float], *, gpu_only: bool) -> int:
    """How many workers these tasks keep busy: their work over their longest chain, because more only wait.

    Args:
        tasks: by key, parents before children; a parent that is not among them is there already.
        gpu_only: count the work of stages that compute on a GPU alone.
    """
    ends_s: dict[str, float] = {}
    work_s = 0.0
    for key, task in tasks.items():
        own_s = seconds[task.stage]
        ends_s[key] = own_s + max((ends_s.get(parent.key, 0.0) for parent in task.parents), default=0.0)
        work_s += own_s if task.stage not in FILE_STAGES or not gpu_only else 0.0
    longest_s = max(ends_s.values(), default=0.0)
    return max(1, min(len(tasks), math.ceil(work_s / longest_s))) if longest_s else min(1, len(tasks))


def _spread(specs: list[WorkerSpec], num_workers: int) -> list[WorkerSpec]:
    """``num_workers`` of ``specs``, the first of every node before the second of any; one for every stage at least."""
    rank = {spec.name: sum(other.node == spec.node for other in specs[:idx]) for idx, spec in enumerate(specs)}
    chosen: list[WorkerSpec] = []
    for spec in sorted(specs, key=lambda spec: rank[spec.name]):
        covered = frozenset[Stage]().union(*(other.stages for other in chosen))
        if len(chosen) < num_workers or not spec.stages <= covered:
            chosen.append(spec)
    return chosen


def bind(work_s: Mapping[Stage, float], num_workers: int) -> list[frozenset[Stage]]:
    """The stages of each of ``num_workers`` equal workers, from the seconds of work that a plan has of each stage.

    The bulk of the work goes everywhere, so that nobody idles beside a chain that waits; what is rare goes where it
    takes few loads and little memory: each set is part of the one before it.
    """
    total_s = sum(work_s.values())
    hosts = {
        stage: min(num_workers, max(MIN_HOSTS, math.ceil(HOSTS_PER_SHARE * num_workers * seconds / total_s)))
        for stage, seconds in work_s.items()
    }
    return [frozenset(stage for stage in hosts if hosts[stage] > worker_idx) for worker_idx in range(num_workers)]
