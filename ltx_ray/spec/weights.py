"""The weights of a model, part by part: what a recipe says of them, so that a change re-makes what uses them alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

from ltx_ray.spec.canonical import Shared, later

Part = Literal["text_encoder", "connectors", "transformer", "upscaler", "video_vae", "audio_vae", "vocoder"]
PARTS: tuple[Part, ...] = get_args(Part)


#: "adapter": computed beside the weights, so it can be switched without loading them again. "fold": added to the
#: weights while they are loaded, which makes weights of their own; it costs no memory and no time afterwards.
LoraMode = Literal["adapter", "fold"]
LORA_MODES: tuple[LoraMode, ...] = get_args(LoraMode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """A LoRA on the weights of a part. Both modes give the same numbers but for their last bits."""

    digest: str  #: of its file
    strength: float
    mode: LoraMode = later("adapter", since=2)


class LoraFacts(NamedTuple):
    """What planning must know of a LoRA's file."""

    name: str  #: as a manifest says it: a name in models.yaml, or a path
    digest: str
    parts: tuple[Part, ...]  #: whose weights it changes, in the order of PARTS
    mode: LoraMode = "adapter"  #: unless the manifest says another
    downscale: int | None = (
        None  #: of an IC-LoRA: times that its control is smaller than the picture; None = no IC-LoRA
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights(Shared):
    """One part of a model, as a stage computes with it."""

    part: Part
    digest: str  #: of its files; for a built-in model the model's version
    precision: str  #: the type the part is loaded in: "fp32", "bf16"
    loras: tuple[Lora, ...] = ()  #: in the order in which they are applied: folded ones first, then by digest

    def with_loras(self, loras: Iterable[Lora]) -> Weights:
        """These weights with ``loras``, in the one order that a set of them has; those of strength 0 change nothing."""
        order = sorted((each for each in loras if each.strength), key=lambda lora: (lora.mode != "fold", lora.digest))
        return replace(self, loras=tuple(order))
