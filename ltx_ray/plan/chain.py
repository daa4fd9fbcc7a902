"""The segments of a take as tasks: stage 1, upscaling, stage 2, and what providers give them.

A recipe says latents as they count in their own artifact, from that segment's frame 0, so nothing in it says where in
the take its work lies.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from typing import TypedDict

from ltx_ray.errors import PlanError
from ltx_ray.manifest.schema import Redo, Sampling
from ltx_ray.plan.conditions import Planned, Provided, Provider, SegmentStage, parents_of
from ltx_ray.plan.connectors import connector, tail
from ltx_ray.plan.films import film_cells, film_latents
from ltx_ray.plan.loras import loras_of
from ltx_ray.plan.redo import held_at_tail
from ltx_ray.spec.conditions import Condition
from ltx_ray.spec.recipe import (
    Call,
    GenerateRecipe,
    RefineRecipe,
    SamplingRecipe,
    TextEncodeRecipe,
    UpscaleRecipe,
)
from ltx_ray.spec.seeds import noise_seed
from ltx_ray.spec.sigmas import ShiftedByTokens
from ltx_ray.spec.source import SourceFacts
from ltx_ray.spec.task import Parent, Stage
from ltx_ray.spec.weights import Weights

#: What every take's segments are given, in the order of a recipe's conditions.
PROVIDERS: tuple[Provider, ...] = (connector, tail)


class _Common(TypedDict):
    """Fields of a SegmentRecipe that are worked out alike in both stages."""

    weights: tuple[Weights, ...]
    video_seed: int
    audio_seed: int
    num_frames: int
    frame_rate: Fraction
    width_px: int
    height_px: int
    origin_s: Fraction
    audio_start: int
    num_audio_cells: int
    conditions: tuple[Condition, ...]
    call: Call | None


@dataclass(slots=True)
class Chain(Planned):
    """Enters the segments of a take stage by stage."""

    providers: tuple[Provider, ...] = ()  #: of what this take's segments are given before that
    film: SourceFacts | None = None  #: that ``Video.detail`` names
    _replaced: dict[SegmentStage, str] = field(default_factory=dict)  #: by the segment that is made anew now
    #: Keys by prompt and by what it is encoded with.
    texts: dict[tuple[str, tuple[Weights, ...]], str] = field(default_factory=dict)

    def plan(self) -> None:
        order = range(len(self.take.segments))
        if self.video.detail is not None:
            for segment_idx in order:
                self._detail(segment_idx)
            self.generated = self.refined
        elif self.video.is_draft:
            for segment_idx in order:
                self._generate(segment_idx)
            self.refined = self.generated
        elif self.video.chain == "final":
            if self.video.refine_order == "alternate":
                raise PlanError("refine.order: alternate does not go with `chain: final`; take `chain: stagewise`")
            for segment_idx in order:
                self._generate(segment_idx)
                self._refine(segment_idx)
        else:
            for segment_idx in order:
                self._generate(segment_idx)
            for segment_idx in (*order[::2], *order[1::2]) if self.alternates("refine") else order:
                self._refine(segment_idx)

    @property
    def sounding(self) -> dict[int, str]:
        """Keys of what is heard of each segment."""
        return self.generated if self.video.audio_from == "stage1" else self.refined

    def _generate(self, segment_idx: int) -> None:
        sampling = self._sampling(segment_idx, self.scene(segment_idx).stage1, "generate")
        text = self._text(segment_idx, sampling, "generate")
        provided = self._provided(segment_idx, "generate")
        recipe = GenerateRecipe(sampling=sampling, **self._common(segment_idx, "generate", provided))
        parents = (*text, *parents_of(provided))
        self.generated[segment_idx] = self.plan_.add("generate", self.name(segment_idx), recipe, parents)

    def _refine(self, segment_idx: int) -> None:
        refine, generated = self.scene(segment_idx).refine, self.generated[segment_idx]
        assert refine is not None
        upscale = UpscaleRecipe(weights=self.facts.weights_for("upscale"), ratio=self.facts.video.upscale)
        upscaled = self.plan_.add("upscale", self.name(segment_idx), upscale, (Parent("latent", generated),))
        sampling = self._sampling(segment_idx, refine, "refine")
        text = self._text(segment_idx, sampling, "refine")
        provided = self._provided(segment_idx, "refine")
        recipe = RefineRecipe(sampling=sampling, **self._common(segment_idx, "refine", provided))
        parents = (*text, Parent("video", upscaled), Parent("audio", generated), *parents_of(provided))
        self.refined[segment_idx] = self.plan_.add("refine", self.name(segment_idx), recipe, parents)

    def redo(self, segment_idx: int, redo: Redo) -> None:
        """Plan a segment anew between its neighbours, of which the later one stays as it was made from the old one."""
        scene = self.scene(segment_idx)
        seed = scene.seed if redo.seed is None else redo.seed
        self.redone[segment_idx] = replace(scene, seed=seed, prompt=redo.prompt or scene.prompt)
        self._replaced = {"generate": self.generated[segment_idx], "refine": self.refined[segment_idx]}
        self._generate(segment_idx)
        if self.video.is_draft:
            self.refined[segment_idx] = self.generated[segment_idx]
        else:
            self._refine(segment_idx)
        self._replaced = {}

    def _detail(self, segment_idx: int) -> None:
        """Stage 2 over a film: its latents and cells take the places of what stage 1 makes."""
        assert self.video.detail is not None and self.film is not None
        refine, path = self.scene(segment_idx).refine, self.video.detail.path
        assert refine is not None
        film = film_latents(self, segment_idx, "refine", path, self.film)
        cells = film_cells(self, segment_idx, path, self.film)
        sampling = self._sampling(segment_idx, refine, "refine")
        text = self._text(segment_idx, sampling, "refine")
        provided = self._provided(segment_idx, "refine")
        recipe = RefineRecipe(sampling=sampling, **self._common(segment_idx, "refine", provided))
        parents = (*text, Parent("video", film), Parent("audio", cells), *parents_of(provided))
        self.refined[segment_idx] = self.plan_.add("refine", self.name(segment_idx), recipe, parents)

    def _provided(self, segment_idx: int, stage: SegmentStage) -> list[Provided]:
        providers = (*self.providers, *PROVIDERS)
        given = [each for provider in providers for each in provider(self, segment_idx, stage)]
        if (replaced := self._replaced.get(stage)) is not None:
            given += held_at_tail(self, segment_idx, stage, replaced)
        return given

    def _common(self, segment_idx: int, stage: SegmentStage, provided: list[Provided]) -> _Common:
        segment, seed = self.take.segments[segment_idx], self.scene(segment_idx).seed
        width, height = self.size_px(stage)
        call = Call(
            stage=1 if stage == "generate" else 2,
            label=self.video.id,
            is_free=self.is_free(segment_idx, stage),
            is_single_pass=self.video.is_single_pass,
        )
        return _Common(
            weights=self._weights(segment_idx, stage, stage),
            video_seed=noise_seed(seed, segment_idx, "video"),
            audio_seed=noise_seed(seed, segment_idx, "audio"),
            num_frames=segment.num_frames,
            frame_rate=self.video.frame_rate,
            width_px=width,
            height_px=height,
            origin_s=segment.start_s,
            audio_start=segment.cells.start,
            num_audio_cells=segment.cells.stop - segment.cells.start,
            conditions=tuple(each.condition for each in provided),
            call=call if self.facts.wants_call else None,
        )

    def _sampling(self, segment_idx: int, sampling: Sampling, stage: SegmentStage) -> SamplingRecipe:
        """Schedules that depend on it are made for the segment's video tokens at the stage's size."""
        if not isinstance(sampling.sigmas, ShiftedByTokens):
            return _sampling_recipe(sampling, 0)
        num_frames = self.take.segments[segment_idx].num_frames
        return _sampling_recipe(sampling, self.facts.video.num_tokens(num_frames, *self.size_px(stage)))

    def _weights(self, segment_idx: int, stage: Stage, descent: SegmentStage) -> tuple[Weights, ...]:
        """The weights of a stage with the LoRAs that its scene applies in ``descent``."""
        scene = self.scene(segment_idx)
        return self.facts.weights_for(stage, loras_of(scene, descent, self.facts) if scene.loras else ())

    def _text(self, segment_idx: int, sampling: SamplingRecipe, stage: SegmentStage) -> list[Parent]:
        """The encoded prompt, and the negative one where the stage's guidance is away from it."""
        scene, unit = self.scene(segment_idx), self.unit
        if len({each.scene_idx for each in self.take.segments}) > 1:
            unit = f"{unit}/scene {self.take.segments[segment_idx].scene_idx}"
        if segment_idx in self.redone:
            unit = self.name(segment_idx)
        texts = [("text", unit, scene.prompt)]
        if sampling.guidance is not None and sampling.guidance.uses_negative:
            texts.append(("negative", f"{unit}/negative", scene.negative_prompt))
        weights = self._weights(segment_idx, "text_encode", stage)
        return [Parent(role, self._encoded(name, text, weights)) for role, name, text in texts]

    def _encoded(self, unit: str, prompt: str, weights: tuple[Weights, ...]) -> str:
        """Key of a prompt's task; segments and stages mostly share one."""
        known = prompt, weights
        if known not in self.texts:
            self.texts[known] = self.plan_.add("text_encode", unit, TextEncodeRecipe(weights=weights, prompt=prompt))
        return self.texts[known]


@lru_cache(maxsize=256)
def _sampling_recipe(sampling: Sampling, num_tokens: int) -> SamplingRecipe:
    """One object for all segments that are sampled alike."""
    sigmas = sampling.sigmas
    if isinstance(sigmas, ShiftedByTokens):
        sigmas = sigmas.at(num_tokens)
    return SamplingRecipe(sampler=sampling.sampler, sigmas=sigmas, guidance=sampling.guidance)
