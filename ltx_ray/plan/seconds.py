"""How long tasks take: by what they compute on the card they stand on, corrected by what was measured.

A task whose cost is not known takes the round figure of its stage. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from ltx_ray.plan.layouts import SAMPLE, TEXT
from ltx_ray.spec.cards import REFERENCE, speed_of
from ltx_ray.spec.cost import Cost
from ltx_ray.spec.recipe import ClipDecodeRecipe, DecodeRecipe
from ltx_ray.spec.stages import SPECS, Stage
from ltx_ray.spec.task import Task

#: Pixels a second that one thread encodes, H.264 at its medium preset.
ENCODED_PX_PER_S = 40e6
#: Fewer measurements of a stage than these correct nothing: the first of them loads weights.
MIN_MEASURED = 3


class Measured(NamedTuple):
    """A task that was made: how long that took, on a card of this name; "" = on cores."""

    task: Task
    card: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Factor:
    """How many times longer tasks took than predicted."""

    times: float
    num_measured: int


@dataclass(frozen=True, slots=True)
class Seconds:
    """Of the tasks of a plan."""

    costs: Mapping[str, Cost]
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)  #: of pictures that are encoded, by key
    factors: Mapping[tuple[Stage, str], Factor] = field(default_factory=dict)  #: by stage and card

    def on_reference(self, task: Task) -> float:
        """On a card of speed 1, by itself."""
        cost = self.costs.get(task.key)
        if cost is None or not cost.flops:
            return SPECS[task.stage].seconds
        return cost.flops / (REFERENCE.tflops * 1e12 * SPECS[task.stage].efficiency)

    def on(self, task: Task, card: str) -> float:
        """On a card of this name."""
        speed = speed_of(card)
        seconds = self.on_reference(task) / (speed.computes if task.stage in (*TEXT, *SAMPLE) else speed.reads)
        factor = self.factors.get((task.stage, card))
        return seconds if factor is None else seconds * factor.times

    def on_host(self, task: Task) -> float:
        """Of the encoder beside the card, at least."""
        size = self.sizes.get(task.key)
        if size is None or not isinstance(task.recipe, DecodeRecipe | ClipDecodeRecipe):
            return 0.0
        recipe = task.recipe
        return (recipe.stop - recipe.start) * size[0] * size[1] / (ENCODED_PX_PER_S * recipe.encode.threads)

    def corrected(self, measured: Iterable[Measured]) -> Seconds:
        """With what was measured of a stage on a card, where that is enough."""
        plain = Seconds(self.costs, self.sizes)
        times: dict[tuple[Stage, str], list[float]] = {}
        for task, card, seconds in measured:
            times.setdefault((task.stage, card), []).append(seconds / plain.on(task, card))
        factors = {which: Factor(median(each), len(each)) for which, each in times.items() if len(each) >= MIN_MEASURED}
        return Seconds(self.costs, self.sizes, factors)
