"""What a segment is given beforehand: providers are asked, and name conditions and the artifacts they are taken from.

To add one: a function like those of ``plan.connectors``, that enters the tasks its artifacts need, and a place in
``plan.chain.PROVIDERS`` or, where it belongs to one take alone, among those that ``plan_take`` is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ltx_ray.manifest.schema import Scene, Video
from ltx_ray.plan.dag import Plan
from ltx_ray.plan.segments import Take
from ltx_ray.spec.conditions import Condition
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.task import Parent

#: The stages that descend, and so are given something.
SegmentStage = Literal["generate", "refine"]


class Provided(NamedTuple):
    condition: Condition
    key: str  #: of the artifact
    mask: str | None = None  #: key of its mask's, where the condition has one


@dataclass(slots=True)
class Planned:
    """A take as far as its tasks are entered; keys by segment."""

    plan_: Plan
    video: Video
    take: Take
    facts: ModelFacts
    unit: str
    generated: dict[int, str] = field(default_factory=dict)
    refined: dict[int, str] = field(default_factory=dict)
    #: Connect tasks of what is shown, by the segment after the seam.
    connectors: dict[int, str] = field(default_factory=dict)
    #: Scenes of segments that are made anew, as these are told it.
    redone: dict[int, Scene] = field(default_factory=dict)

    def name(self, segment_idx: int) -> str:
        return f"{self.unit}/segment {segment_idx}{'/redo' if segment_idx in self.redone else ''}"

    def scene(self, segment_idx: int) -> Scene:
        """The scene that a segment shows."""
        return self.redone.get(segment_idx) or self.video.scenes[self.take.segments[segment_idx].scene_idx]

    def size_px(self, stage: SegmentStage) -> tuple[int, int]:
        """Width and height of what a stage makes."""
        width, height = self.video.width, self.video.height
        if stage == "refine":
            return width, height
        return self.facts.video.stage1_px(width), self.facts.video.stage1_px(height)

    def is_final(self, stage: SegmentStage) -> bool:
        """Whether the stage renders the final size."""
        return stage == "refine" or self.video.is_single_pass

    def is_driven(self, segment_idx: int) -> bool:
        """Whether a given sound is what the segment hears, from its first cell to its last."""
        if self.video.detail is not None:
            return True
        return self.video.audio_use(self.take.segments[segment_idx].scene_idx) == "drive"

    def alternates(self, stage: SegmentStage) -> bool:
        """Whether the stage makes every other segment on its own, and then those between."""
        return stage == "refine" and self.video.refine_order == "alternate"

    def is_free(self, segment_idx: int, stage: SegmentStage) -> bool:
        """Whether nothing stands before a segment that does not begin its take."""
        return self.alternates(stage) and segment_idx > 0 and segment_idx % 2 == 0


#: What a segment is given in a stage. Segments come in the order in which they are planned.
Provider = Callable[[Planned, int, SegmentStage], Iterator[Provided]]


def parents_of(provided: Sequence[Provided]) -> list[Parent]:
    """An artifact for each condition, in order, and then a mask for each that has one."""
    assert all(each.condition.has_mask == (each.mask is not None) for each in provided), "a mask goes with has_mask"
    masks = [Parent("mask", each.mask) for each in provided if each.mask is not None]
    return [*(Parent("condition", each.key) for each in provided), *masks]
