"""The weights of a model, part by part: what a recipe says of them, so that a change re-makes what uses them alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ltx_ray.spec.canonical import Shared

Part = Literal["text_encoder", "connectors", "transformer", "upscaler", "video_vae", "audio_vae", "vocoder"]
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """An adapter on the weights of a part."""

    digest: str  #: of its file
    strength: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights(Shared):
    """One part of a model, as a stage computes with it."""

    part: Part
    digest: str  #: of its files; for a built-in model the model's version
    precision: str  #: the type the part is loaded in: "fp32", "bf16"
    loras: tuple[Lora, ...] = ()  #: in the order in which they are applied
