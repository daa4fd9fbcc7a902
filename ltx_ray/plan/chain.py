"""The segments of a take as tasks: stage 1, upscaling, stage 2, and the connectors between them.

A recipe says latents as they count in their own artifact, from that segment's frame 0, so nothing in it says where in
the take its work lies.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple, TypedDict

from ltx_ray.errors import PlanError
from ltx_ray.manifest.schema import Sampling, Video
from ltx_ray.plan.dag import Plan
from ltx_ray.plan.segments import Segment, Take, pieces_of
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.recipe import (
    ConnectRecipe,
    GenerateRecipe,
    Piece,
    Pins,
    RefineRecipe,
    SamplingRecipe,
    TextEncodeRecipe,
    UpscaleRecipe,
)
from ltx_ray.spec.seeds import noise_seed
from ltx_ray.spec.sigmas import ShiftedByTokens, shifted
from ltx_ray.spec.task import Parent

#: Latents before a connector that are decoded with it, where the decoder looks that far: with 10 a tail comes out as in
#: the final picture to a thousandth of its spread.
CONNECTOR_CONTEXT = 10


class _Common(TypedDict):
    """Fields of a SegmentRecipe that are the same in both stages, or nearly."""

    video_seed: int
    audio_seed: int
    num_frames: int
    frame_rate: Fraction
    origin_s: Fraction
    audio_start: int
    num_audio_cells: int
    head: Pins | None
    label: str | None


class Head(NamedTuple):
    """A connector from outside for a take's first segment, for either stage."""

    stage1: str
    stage2: str | None  #: None = draft


@dataclass(slots=True)
class Chain:
    """Enters the segments of a take stage by stage; keys by segment."""

    plan_: Plan
    video: Video
    take: Take
    facts: ModelFacts
    unit: str
    head: Head | None
    generated: dict[int, str] = field(default_factory=dict)
    upscaled: dict[int, str] = field(default_factory=dict)
    refined: dict[int, str] = field(default_factory=dict)
    #: Connect tasks of what is shown, by the segment after the seam.
    connectors: dict[int, str] = field(default_factory=dict)

    def plan(self) -> None:
        order = range(len(self.take.segments))
        if self.video.is_draft:
            for segment_idx in order:
                self._generate(segment_idx)
            self.refined = self.generated
        elif self.video.chain == "final":
            if self.video.refine_order == "alternate":
                raise PlanError("refine.order: alternate does not go with `chain: final`; take `chain: stagewise`")
            for segment_idx in order:
                self._generate(segment_idx)
                self._refine(segment_idx, has_head=True)
        elif self.video.refine_order == "chain":
            for segment_idx in order:
                self._generate(segment_idx)
            for segment_idx in order:
                self._refine(segment_idx, has_head=True)
        else:
            for segment_idx in order:
                self._generate(segment_idx)
            for segment_idx in order[::2]:
                self._refine(segment_idx, has_head=segment_idx == 0)
            for segment_idx in order[1::2]:
                self._check_tail(segment_idx)
                self._refine(segment_idx, has_head=True, has_tail=segment_idx + 1 < len(order))

    @property
    def sounding(self) -> dict[int, str]:
        """Keys of what is heard of each segment."""
        return self.generated if self.video.audio_from == "stage1" else self.refined

    def name(self, segment_idx: int) -> str:
        return f"{self.unit}/segment {segment_idx}"

    def _generate(self, segment_idx: int) -> None:
        segment, facts, video = self.take.segments[segment_idx], self.facts, self.video
        width, height = facts.video.stage1_px(video.width), facts.video.stage1_px(video.height)
        sampling = _sampling(segment.scene.stage1, facts.video.num_tokens(segment.num_frames, width, height))
        recipe = GenerateRecipe(
            weights=facts.weights_for("generate"),
            sampling=sampling,
            width_px=width,
            height_px=height,
            tail=None,
            **self._common(segment_idx, has_head=True),
        )
        parents = self._text(segment, sampling)
        if recipe.head is not None:
            parents.append(Parent("connector", self._connector(segment_idx, is_stage2=False)))
        self.generated[segment_idx] = self.plan_.add("generate", self.name(segment_idx), recipe, tuple(parents))

    def _refine(self, segment_idx: int, *, has_head: bool, has_tail: bool = False) -> None:
        segment, facts, video = self.take.segments[segment_idx], self.facts, self.video
        assert segment.scene.refine is not None
        upscale = UpscaleRecipe(weights=facts.weights_for("upscale"), ratio=facts.video.upscale)
        generated = self.generated[segment_idx]
        upscaled = self.plan_.add("upscale", self.name(segment_idx), upscale, (Parent("latent", generated),))
        sampling = _sampling(
            segment.scene.refine, facts.video.num_tokens(segment.num_frames, video.width, video.height)
        )
        recipe = RefineRecipe(
            weights=facts.weights_for("refine"),
            sampling=sampling,
            width_px=video.width,
            height_px=video.height,
            tail=self._tail(segment_idx) if has_tail else None,
            is_free=not has_head,
            **self._common(segment_idx, has_head=has_head),
        )
        parents = [*self._text(segment, sampling), Parent("video", upscaled), Parent("audio", generated)]
        if recipe.head is not None:
            parents.append(Parent("connector", self._connector(segment_idx, is_stage2=True)))
        if recipe.tail is not None:
            parents.append(Parent("tail", self.refined[segment_idx + 1]))
        self.refined[segment_idx] = self.plan_.add("refine", self.name(segment_idx), recipe, tuple(parents))

    def _common(self, segment_idx: int, *, has_head: bool) -> _Common:
        """Fields that both stages of a segment share."""
        segment = self.take.segments[segment_idx]
        return _Common(
            video_seed=noise_seed(segment.scene.seed, segment_idx, "video"),
            audio_seed=noise_seed(segment.scene.seed, segment_idx, "audio"),
            num_frames=segment.num_frames,
            frame_rate=self.video.frame_rate,
            origin_s=segment.start / self.video.frame_rate,
            audio_start=segment.cells.start,
            num_audio_cells=segment.cells.stop - segment.cells.start,
            head=self._head(segment) if has_head and segment.connector else None,
            label=self.video.id if self.facts.paints_label else None,
        )

    def _head(self, segment: Segment) -> Pins:
        return Pins(
            latents=Piece(0, self.facts.video.num_latents(segment.connector)),
            latent_start=0,
            cells=Piece(0, segment.own_cells.start - segment.cells.start),
            cell_start=0,
            strength=segment.scene.segment.strength,
        )

    def _tail(self, segment_idx: int) -> Pins:
        """What the segment after has settled of this one: its latents but the first two, which had no past."""
        segment, after = self.take.segments[segment_idx], self.take.segments[segment_idx + 1]
        shift = (after.start - segment.start) // self.facts.video.frames_per_latent
        first_cell = after.cells.start - segment.cells.start
        num_cells = max(1, segment.own_cells.stop - after.cells.start)
        return Pins(
            latents=Piece(2, self.facts.video.num_latents(after.connector)),
            latent_start=shift + 2,
            cells=Piece(1, num_cells),
            cell_start=first_cell + 1,
        )

    def _check_tail(self, segment_idx: int) -> None:
        least = 2 * self.facts.video.frames_per_latent + 1
        for segment in self.take.segments[segment_idx + 1 : segment_idx + 2]:
            if segment.connector < least:
                raise PlanError(
                    f"scenes[{segment.scene_idx}].segment.connector: {segment.connector} is too short for "
                    f"`refine: alternate`, which joins a segment to the one after it by it; at least {least}"
                )

    def _connector(self, segment_idx: int, *, is_stage2: bool) -> str:
        """Key of the connector that a stage of a segment begins with."""
        if segment_idx == 0:
            head = self.head and (self.head.stage2 if is_stage2 else self.head.stage1)
            assert head, "a first segment with a head has it from outside"
            return head
        video, grid = self.video, self.facts.video
        is_from_final = is_stage2 or (video.chain == "final" and not video.is_draft)
        sources = self.refined if is_from_final else self.generated
        sounds = self.generated if not is_stage2 and video.audio_from == "stage1" else sources
        width, height = (video.width, video.height)
        if not is_stage2:
            width, height = grid.stage1_px(width), grid.stage1_px(height)
        is_free = is_stage2 and video.refine_order == "alternate"
        recipe, keys = self._connect(segment_idx, sources, width, height, is_free=is_free)
        unit = f"{self.name(segment_idx)}/{'full' if is_stage2 else 'half'}"
        parents = (*(Parent("latent", key) for key in keys), Parent("sound", sounds[segment_idx - 1]))
        connector = self.plan_.add("connect", unit, recipe, parents)
        if is_stage2 or video.is_draft:
            self.connectors[segment_idx] = connector
        return connector

    def _connect(
        self, segment_idx: int, sources: dict[int, str], width: int, height: int, *, is_free: bool
    ) -> tuple[ConnectRecipe, list[str]]:
        """The recipe, and the keys of the latents it decodes.

        The latents of a free segment are a film of their own, so they are context for each other; waiting for the
        segment before it would chain what `alternate` has set free.
        """
        before, segment, grid = self.take.segments[segment_idx - 1], self.take.segments[segment_idx], self.facts.video
        reach_before, reach_after = self.facts.decoder_reach
        shift = before.start // grid.frames_per_latent
        stop = grid.num_latents(before.kept_stop)
        first = stop - grid.num_latents(segment.connector) - min(CONNECTOR_CONTEXT, reach_before)
        first = max(shift if is_free else 0, first)
        if is_free:
            parts = [(segment_idx - 1, Piece(first - shift, stop - shift))]
        else:
            parts = list(pieces_of(self.take, first, stop, grid))
        last_idx, last = parts[-1]
        assert last_idx == segment_idx - 1, "the connector lies in the segment before"
        overshoot = min(before.overshoot // grid.frames_per_latent, reach_after)
        parts[-1] = last_idx, Piece(last.start, last.stop + overshoot)
        start = segment.start - first * grid.frames_per_latent
        recipe = ConnectRecipe(
            weights=self.facts.weights_for("connect"),
            pieces=tuple(piece for _, piece in parts),
            start=start,
            stop=start + segment.connector,
            cells=Piece(segment.cells.start - before.cells.start, before.own_cells.stop - before.cells.start),
            width_px=width,
            height_px=height,
            tiling=self.video.decode_tiling,
        )
        return recipe, [sources[part_idx] for part_idx, _ in parts]

    def _text(self, segment: Segment, sampling: SamplingRecipe) -> list[Parent]:
        """The encoded prompt, and the negative one where the stage's guidance is away from it."""
        scene, unit = segment.scene, self.unit
        if len({each.scene_idx for each in self.take.segments}) > 1:
            unit = f"{unit}/scene {segment.scene_idx}"
        texts = [("text", unit, scene.prompt)]
        if sampling.guidance is not None and sampling.guidance.uses_negative:
            texts.append(("negative", f"{unit}/negative", scene.negative_prompt))
        weights = self.facts.weights_for("text_encode")
        return [
            Parent(role, self.plan_.add("text_encode", name, TextEncodeRecipe(weights=weights, prompt=text)))
            for role, name, text in texts
        ]


def _sampling(sampling: Sampling, num_tokens: int) -> SamplingRecipe:
    """``num_tokens``: video tokens of the segment at this stage's size, for schedules that depend on them."""
    sigmas = sampling.sigmas
    if isinstance(sigmas, ShiftedByTokens):
        sigmas = shifted(sigmas.num_steps, num_tokens=num_tokens)
    return SamplingRecipe(sampler=sampling.sampler, sigmas=sigmas, guidance=sampling.guidance)
