"""What planning must know of a model, without loading it."""

from __future__ import annotations

from dataclasses import dataclass

from ltx_ray.spec.grid import AudioGrid, VideoGrid
from ltx_ray.spec.stages import SPECS, Stage
from ltx_ray.spec.weights import PARTS, Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """Read from the checkpoint, or fixed for a built-in model; enters keys only through ``weights``."""

    name: str  #: as written in a manifest
    family: str  #: decides presets: "testcard", "ltx-2", "ltx-2.3", "ltx-2.5"
    digest: str  #: identity of the whole checkpoint, for files to say; for a built-in model its version
    weights: tuple[Weights, ...]  #: of every part, each once
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
    num_blocks: int | None = None  #: of the transformer; None = not known, 0 = there is nothing for guidance to act on

    def weights_for(self, stage: Stage) -> tuple[Weights, ...]:
        """What a recipe of ``stage`` carries: the weights of the parts that the stage uses, in its order."""
        return tuple([weights for part in SPECS[stage].weights for weights in self.weights if weights.part == part])


def one_digest(digest: str, *, precision: str = "fp32") -> tuple[Weights, ...]:
    """The weights of a model whose parts come and change together."""
    return tuple(Weights(part=part, digest=digest, precision=precision) for part in PARTS)
