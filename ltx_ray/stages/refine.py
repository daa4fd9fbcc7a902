"""Stage 2: the upscaled segment noised again and descended at final size, its sound with it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ltx_ray.spec.protocols import Control, Model
from ltx_ray.spec.recipe import RefineRecipe
from ltx_ray.stages.segment import sample_segment


def refine(
    recipe: RefineRecipe,
    text: Mapping[str, Tensor],
    model: Model,
    control: Control,
    *,
    negative: Mapping[str, Tensor] | None = None,
    video_BCFHW: Tensor,
    audio_BLC: Tensor,
) -> dict[str, Tensor]:
    """``video`` [1, C, F, H, W] at final size and ``audio`` [1, L, C], normalised, float32.

    Args:
        video_BCFHW: the upscaled stage-1 latent.
        audio_BLC: stage 1's audio latent.
    """
    return sample_segment(
        recipe, text, model, control, stage="refine", negative=negative, video_BCFHW=video_BCFHW, audio_BLC=audio_BLC
    )
