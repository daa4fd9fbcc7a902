"""Which ready task goes to which idle worker. Reads, never changes.

A worker whose parts take turns on its card takes tasks of the group that it has loaded first; it does not starve: when
there is none, any of its stages do. Which task goes first among those that it may take, ``engine.ready`` says.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from ltx_ray.engine.fleet import Fleet
from ltx_ray.engine.ready import ReadyQueue
from ltx_ray.spec.task import STAGES, Stage


def next_match(
    ready: ReadyQueue,
    fleet: Fleet,
    *,
    avoid: Callable[[str], Collection[str]],
    doubted: Callable[[Stage], bool],
    urgent: float = 0.0,
) -> tuple[str, str] | None:
    """The next (task, worker) to put together, None when no idle worker may take any ready task.

    ``avoid`` names the workers that may not have a task; ``doubted`` stages only go on with tasks tried before;
    chains from ``urgent`` on cannot wait.
    """
    heads = [(head, stage) for stage in STAGES if fleet.num_idle[stage] and (head := ready.best(stage, urgent))]
    heads.sort()
    for only_loaded in (True, False):
        for _, stage in heads:
            for task in ready.candidates(stage, with_fresh=not doubted(stage), urgent=urgent):
                avoided = avoid(task)
                worker = next((w for w in fleet.idle(stage, only_loaded=only_loaded) if w not in avoided), None)
                if worker is not None:
                    return task, worker
                if not avoided:
                    break
    return None
