"""Which of two ready tasks goes first: the one with more work still behind it."""

from __future__ import annotations

from collections.abc import Mapping

from ltx_ray.spec.stages import SPECS
from ltx_ray.spec.task import Stage, Task

#: Seconds of one task of a stage, in proportion.
STAGE_WEIGHTS: Mapping[Stage, float] = {stage: spec.seconds for stage, spec in SPECS.items()}

#: A window is due when stage 2 has gone on by so many seconds of its chain: late enough that no free worker is missing
#: where the chain wants one, early enough that the beginning of a video can be seen long before its end is made.
WINDOW_LAG_S = 160.0


def urgency(tasks: Mapping[str, Task], chain: Mapping[str, float]) -> dict[str, float]:
    """How soon each task should go: by what is behind it, and a decode by what is behind the latents it needs."""
    urgent = dict(chain)
    for key, task in tasks.items():
        if task.stage == "decode":
            needed = max((chain[parent.key] for parent in task.parents if parent.key in chain), default=0.0)
            urgent[key] = max(chain[key], needed - WINDOW_LAG_S)
    return urgent


def children_of(tasks: Mapping[str, Task]) -> dict[str, list[str]]:
    """Keys of the tasks that have this one as a parent, each once, in plan order."""
    children: dict[str, list[str]] = {key: [] for key in tasks}
    for key, task in tasks.items():
        for parent in dict.fromkeys(parent.key for parent in task.parents):
            if parent in children:
                children[parent].append(key)
    return children


def remaining_chain(
    tasks: Mapping[str, Task], children: Mapping[str, list[str]], *, weights: Mapping[Stage, float]
) -> dict[str, float]:
    """Weight of the heaviest path from each task to an end of the plan, itself included; a stage not named weighs 1.

    Raises:
        ValueError: the tasks form a cycle, which keys made of parent keys cannot do.
    """
    chain: dict[str, float] = {}
    num_open = {key: len(children[key]) for key in tasks}
    ends = [key for key, count in num_open.items() if count == 0]
    while ends:
        key = ends.pop()
        task = tasks[key]
        chain[key] = weights.get(task.stage, 1.0) + max((chain[child] for child in children[key]), default=0.0)
        for parent in dict.fromkeys(parent.key for parent in task.parents):
            if parent in num_open:
                num_open[parent] -= 1
                if num_open[parent] == 0:
                    ends.append(parent)
    if len(chain) < len(tasks):
        looping = next(key for key in tasks if key not in chain)
        raise ValueError(f"task {tasks[looping].name} descends from itself")
    return chain
