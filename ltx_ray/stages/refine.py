"""Stage 2: the upscaled segment noised again and descended at final size, its sound with it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ltx_ray.sampling.state import Tokens, pack_video
from ltx_ray.spec.protocols import Control, Model
from ltx_ray.spec.recipe import RefineRecipe
from ltx_ray.stages.segment import Known, known, negative_text, sample_segment
from ltx_ray.stages.work import Work, makes


def refine(
    recipe: RefineRecipe,
    text: Mapping[str, Tensor],
    model: Model,
    control: Control,
    *,
    negative: Mapping[str, Tensor] | None = None,
    video_BCFHW: Tensor,
    audio_BLC: Tensor,
    connector: Known | None = None,
    tail: Known | None = None,
) -> dict[str, Tensor]:
    """``video`` [1, C, F, H, W] at final size and ``audio`` [1, L, C], normalised, float32.

    Args:
        negative: the encoded negative prompt, when the recipe's guidance is away from it.
        video_BCFHW: the upscaled stage-1 latent.
        audio_BLC: stage 1's audio latent.
        connector: what the recipe's head names of the segment before, when it has one.
        tail: what the recipe's tail names of the segment after, when it has one.
    """
    start = Tokens(pack_video(video_BCFHW), audio_BLC)
    return sample_segment(
        recipe, text, model, control, stage="refine", negative=negative, connector=connector, tail=tail, start=start
    )


@makes(RefineRecipe)
def _make(recipe: RefineRecipe, work: Work) -> dict[str, Tensor]:
    return refine(
        recipe,
        work.inputs.tensors("text"),
        work.models.open(recipe.weights),
        work.control,
        negative=negative_text(work.inputs),
        video_BCFHW=work.inputs.tensor("video", "video"),
        audio_BLC=work.inputs.tensor("audio", "audio"),
        connector=known(work.inputs, recipe.head, "connector"),
        tail=known(work.inputs, recipe.tail, "tail"),
    )
