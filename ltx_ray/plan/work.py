"""What a plan asks of the devices that compute it: seconds by stage, and the memory of parts and activations.

The work is in seconds of a card of speed 1 (``spec.cards``, an H100); what a stage holds on a device are *loads*: sets
of parts that are used together, each with the activations beside them. Pure.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ltx_ray.spec.cost import Cost
from ltx_ray.spec.recipe import SegmentRecipe
from ltx_ray.spec.stages import SPECS, Stage
from ltx_ray.spec.task import Task
from ltx_ray.spec.weights import Weights

#: So much of a card is not worth another one.
LITTLE = 0.1


class PartSize(NamedTuple):
    """Bytes of a part on a device."""

    num_bytes: int
    block_bytes: int = 0  #: of its largest block; 0 = it has no blocks that could stay in host memory
    rest_bytes: int = 0  #: of what is outside its blocks

    def streamed(self, num_slots: int) -> int:
        """What it takes of the device where its blocks pass over it, so many at a time."""
        return self.rest_bytes + num_slots * self.block_bytes if self.block_bytes else self.num_bytes


class Load(NamedTuple):
    """Parts that a task needs at once, and the most that is computed beside them."""

    parts: tuple[Weights, ...]
    activation_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StageWork:
    """What a plan asks of one stage."""

    seconds: float  #: of all its tasks, on a card of speed 1
    num_tasks: int
    host_s: float = 0.0  #: of an encoder that works beside it; where that takes longer, it is what its tasks take
    chain_s: float = 0.0  #: of those tasks that are on the longest chain
    loads: tuple[Load, ...] = ()  #: () = it computes without weights
    num_passes: int = 0  #: of all its tasks over their transformer; 0 = it does not use one


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a plan asks of all devices together."""

    stages: Mapping[Stage, StageWork] = field(default_factory=dict)
    sizes: Mapping[Weights, PartSize] = field(default_factory=dict)  #: of every part that a load names

    @property
    def num_tasks(self) -> int:
        return sum(work.num_tasks for work in self.stages.values())

    @property
    def mean_s(self) -> dict[Stage, float]:
        """Of one task of each stage, on a card of speed 1."""
        return {stage: each.seconds / each.num_tasks for stage, each in self.stages.items()}

    @property
    def width(self) -> int:
        """How many cards it keeps busy at a time: more only wait for its longest chain."""
        chain_s = sum(work.chain_s for work in self.stages.values())
        busy = sum(work.seconds for work in self.stages.values()) / chain_s if chain_s else 1.0
        return max(1, math.ceil(busy - LITTLE))


def work_of(
    tasks: Mapping[str, Task],
    *,
    seconds: Callable[[Task], float],
    host_seconds: Callable[[Task], float] = lambda _: 0.0,
    costs: Mapping[str, Cost],
    size: Callable[[Weights], PartSize],
) -> Work:
    """The work of ``tasks``, parents before children; a parent that is not among them is there already.

    Args:
        seconds: of one task on a card of speed 1.
        host_seconds: of the encoder beside it.
        costs: by key; a task without one computes beside its weights in no memory worth a word.
        size: of a part, its folded LoRAs in it.
    """
    largest: dict[Stage, dict[tuple[Weights, ...], int]] = defaultdict(dict)
    total_s: dict[Stage, float] = defaultdict(float)
    host_s: dict[Stage, float] = defaultdict(float)
    num_tasks: dict[Stage, int] = defaultdict(int)
    num_passes: dict[Stage, int] = defaultdict(int)
    for task in tasks.values():
        total_s[task.stage] += seconds(task)
        host_s[task.stage] += host_seconds(task)
        num_tasks[task.stage] += 1
        num_passes[task.stage] += _num_passes(task)
        loaded = tuple(_as_loaded(each) for each in weights_of(task))
        if loaded:
            peak = costs[task.key].peak_bytes if task.key in costs else 0
            known = largest[task.stage]
            known[loaded] = max(known.get(loaded, 0), peak)
    chain = chain_of(tasks, seconds)
    on_chain_s: dict[Stage, float] = defaultdict(float)
    for key in chain:
        on_chain_s[tasks[key].stage] += seconds(tasks[key])
    return Work(
        stages={
            stage: StageWork(
                seconds=total_s[stage],
                num_tasks=num_tasks[stage],
                host_s=host_s[stage],
                chain_s=on_chain_s[stage],
                loads=tuple(Load(loaded, peak) for loaded, peak in largest[stage].items()),
                num_passes=num_passes[stage],
            )
            for stage in SPECS
            if num_tasks[stage]
        },
        sizes={each: size(each) for sets in largest.values() for loaded in sets for each in loaded},
    )


def chain_of(tasks: Mapping[str, Task], seconds: Callable[[Task], float]) -> list[str]:
    """Keys of the longest chain of ``tasks``, parents before children."""
    ends_s: dict[str, float] = {}
    before: dict[str, str | None] = {}
    for key, task in tasks.items():
        inside = [parent.key for parent in task.parents if parent.key in ends_s]
        last = max(inside, key=ends_s.__getitem__, default=None)
        before[key] = last
        ends_s[key] = seconds(task) + (0.0 if last is None else ends_s[last])
    chain: list[str] = []
    at = max(ends_s, key=ends_s.__getitem__, default=None)
    while at is not None:
        chain.append(at)
        at = before[at]
    return chain[::-1]


def weights_of(task: Task) -> tuple[Weights, ...]:
    """What the task computes with."""
    return getattr(task.recipe, "weights", ())


def parts_of(tasks: Iterable[Task]) -> frozenset[Weights]:
    """All weights that these tasks compute with."""
    return frozenset(each for task in tasks for each in weights_of(task))


def _as_loaded(weights: Weights) -> Weights:
    """Adapters are switched in place, so weights with other ones are the same load."""
    return replace(weights, loras=tuple(lora for lora in weights.loras if lora.mode == "fold"))


def _num_passes(task: Task) -> int:
    recipe = task.recipe
    if not isinstance(recipe, SegmentRecipe):
        return 0
    guidance = recipe.sampling.guidance
    kinds = 1 if guidance is None else 1 + guidance.uses_negative + guidance.uses_perturbed + guidance.uses_isolated
    return kinds * (len(recipe.sampling.sigmas) - 1)
