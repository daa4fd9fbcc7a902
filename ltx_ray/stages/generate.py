"""Stage 1: video and sound of one segment, together, from noise, at stage-1 size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from ltx_ray.spec.protocols import Control, Model
from ltx_ray.spec.recipe import GenerateRecipe
from ltx_ray.stages.segment import Given, negative_text, read_given, sample_segment
from ltx_ray.stages.work import Work, makes


def generate(
    recipe: GenerateRecipe,
    text: Mapping[str, Tensor],
    model: Model,
    control: Control,
    *,
    negative: Mapping[str, Tensor] | None = None,
    given: Sequence[Given] = (),
) -> dict[str, Tensor]:
    """``video`` [1, C, F, H, W] at stage-1 size and ``audio`` [1, L, C], normalised, float32.

    Args:
        negative: the encoded negative prompt, when the recipe's guidance is away from it.
        given: what the recipe's conditions name, in their order.
    """
    return sample_segment(recipe, text, model, control, negative=negative, given=given)


@makes(GenerateRecipe)
def _make(recipe: GenerateRecipe, work: Work) -> dict[str, Tensor]:
    return generate(
        recipe,
        work.inputs.tensors("text"),
        work.open(recipe.weights),
        work.control,
        negative=negative_text(work.inputs),
        given=read_given(work.inputs, recipe.conditions),
    )
