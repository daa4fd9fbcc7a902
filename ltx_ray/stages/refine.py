"""Stage 2: the upscaled segment noised again and descended at final size, its sound with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from ltx_ray.sampling.state import Tokens, pack_video
from ltx_ray.spec.protocols import Control, Model
from ltx_ray.spec.recipe import RefineRecipe
from ltx_ray.stages.segment import Given, negative_text, read_given, sample_segment
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
    given: Sequence[Given] = (),
) -> dict[str, Tensor]:
    """``video`` [1, C, F, H, W] at final size and ``audio`` [1, L, C], normalised, float32.

    Args:
        negative: the encoded negative prompt, when the recipe's guidance is away from it.
        video_BCFHW: the upscaled stage-1 latent.
        audio_BLC: stage 1's audio latent.
        given: what the recipe's conditions name, in their order.
    """
    start = Tokens(pack_video(video_BCFHW), audio_BLC)
    return sample_segment(recipe, text, model, control, negative=negative, given=given, start=start)


@makes(RefineRecipe)
def _make(recipe: RefineRecipe, work: Work) -> dict[str, Tensor]:
    return refine(
        recipe,
        work.inputs.tensors("text"),
        work.open(recipe.weights),
        work.control,
        negative=negative_text(work.inputs),
        video_BCFHW=work.inputs.tensor("video", "video"),
        audio_BLC=work.inputs.tensor("audio", "audio"),
        given=read_given(work.inputs, recipe.conditions),
    )
