"""What planning must know of a model, without loading it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

from ltx_ray.spec.grid import AudioGrid, VideoGrid
from ltx_ray.spec.stages import SPECS, Stage
from ltx_ray.spec.weights import PARTS, Lora, LoraFacts, Part, Weights

#: How much larger than stage 1 each kind of latent upsampler makes the final picture.
UPSAMPLERS: Mapping[str, Fraction] = {"x2": Fraction(2), "x1.5": Fraction(3, 2)}


class Upsampler(NamedTuple):
    """One of a model's latent upsamplers."""

    name: str  #: of ``UPSAMPLERS``
    weights: Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """Read from the checkpoint, or fixed for a built-in model; enters keys only through ``weights``."""

    name: str  #: as written in a manifest
    family: str  #: decides presets: "testcard", "ltx-2", "ltx-2.3", "ltx-2.5"
    digest: str  #: identity of the whole checkpoint, for files to say; for a built-in model its version
    weights: tuple[Weights, ...]  #: of every part, each once; a model without an upscaler renders in one pass
    video: VideoGrid
    audio: AudioGrid
    video_channels: int
    audio_channels: int
    min_size_px: int  #: smallest final width or height
    max_frames: int  #: more in one call warns
    max_seconds: int  #: more in one call is refused
    window_latents: int  #: default decode window
    decoder_reach: tuple[int, int]  #: latents before and after its own that a latent's frames depend on
    wants_call: bool  #: it is told what it is called for, the video id included, so that decides its bytes
    kind: str | None = None  #: "distilled" or "dev", which decides the presets that fit; None = all do
    #: That can be applied to it, by name; None = it takes none.
    loras: Mapping[str, LoraFacts] | None = None
    num_blocks: int | None = None  #: of the transformer; None = not known, 0 = there is nothing for guidance to act on
    upsamplers: tuple[Upsampler, ...] = ()  #: those that can be chosen; the one in ``weights`` is the default
    #: What parts take of a device in their precision; one that is not named takes nothing worth a word.
    part_bytes: tuple[tuple[Part, int], ...] = ()
    least_size_px: int = 0  #: ``min_size_px`` never falls below this, however large stage 1 renders

    def rendering(self, upscale: Fraction) -> ModelFacts:
        """The same model where a final side is ``upscale`` times that of stage 1; 1 = there is no stage 2."""
        if upscale == self.video.upscale:
            return self
        min_size_px = self.min_size_px * upscale / self.video.upscale
        assert min_size_px.denominator == 1, f"{self.name}: no whole stage-1 size at {upscale}"
        return replace(
            self,
            video=replace(self.video, upscale=upscale),
            min_size_px=max(self.least_size_px, int(min_size_px)),
        )

    def with_sizes(self, part_bytes: tuple[tuple[Part, int], ...]) -> ModelFacts:
        """The same model, with what its parts take."""
        return replace(self, part_bytes=part_bytes)

    @property
    def has_upscaler(self) -> bool:
        return any(weights.part == "upscaler" for weights in self.weights)

    def with_upsampler(self, name: str) -> ModelFacts:
        """The same model where this one is between the stages.

        Raises:
            KeyError: it has none of this name.
        """
        chosen = {each.name: each.weights for each in self.upsamplers}[name]
        weights = tuple(chosen if each.part == "upscaler" else each for each in self.weights)
        return replace(self.rendering(UPSAMPLERS[name]), weights=weights)

    def weights_for(
        self, stage: Stage, loras: Sequence[tuple[LoraFacts, Lora]] = (), *, parts: Collection[Part] | None = None
    ) -> tuple[Weights, ...]:
        """What a recipe of ``stage`` carries: the weights of the parts that the stage uses, in its order.

        Args:
            loras: what is applied to them; each part has those that change it.
            parts: those that the recipe uses; None = all of the stage's.
        """
        found = [weights for part in SPECS[stage].weights for weights in self.weights if weights.part == part]
        if parts is not None:
            found = [weights for weights in found if weights.part in parts]
        if loras:
            found = [
                weights.with_loras(lora for facts, lora in loras if weights.part in facts.parts) for weights in found
            ]
        return tuple(found)


def one_digest(digest: str, *, precision: str = "fp32") -> tuple[Weights, ...]:
    """The weights of a model whose parts come and change together."""
    return tuple(Weights(part=part, digest=digest, precision=precision) for part in PARTS)
