"""Stage 1: video and sound of one segment, together, from noise, at stage-1 size."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ltx_ray.spec.protocols import Control, Model
from ltx_ray.spec.recipe import GenerateRecipe
from ltx_ray.stages.segment import Known, known, negative_text, sample_segment
from ltx_ray.stages.work import Work, makes


def generate(
    recipe: GenerateRecipe,
    text: Mapping[str, Tensor],
    model: Model,
    control: Control,
    *,
    negative: Mapping[str, Tensor] | None = None,
    connector: Known | None = None,
) -> dict[str, Tensor]:
    """``video`` [1, C, F, H, W] at stage-1 size and ``audio`` [1, L, C], normalised, float32.

    Args:
        negative: the encoded negative prompt, when the recipe's guidance is away from it.
        connector: what the recipe's head names of the segment before, when it has one.
    """
    return sample_segment(recipe, text, model, control, stage="generate", negative=negative, connector=connector)


@makes(GenerateRecipe)
def _make(recipe: GenerateRecipe, work: Work) -> dict[str, Tensor]:
    return generate(
        recipe,
        work.inputs.tensors("text"),
        work.models.open(recipe.weights),
        work.control,
        negative=negative_text(work.inputs),
        connector=known(work.inputs, recipe.head, "connector"),
    )
