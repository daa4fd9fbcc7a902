"""A prompt to conditioning tensors: once for every distinct prompt of a manifest."""

from __future__ import annotations

from torch import Tensor

from ltx_ray.spec.protocols import Model
from ltx_ray.spec.recipe import TextEncodeRecipe
from ltx_ray.stages.work import Work, makes


def text_encode(recipe: TextEncodeRecipe, model: Model) -> dict[str, Tensor]:
    """The tensors the model's denoiser wants to see of this prompt, by name."""
    return model.text_encoder().encode(recipe.prompt)


@makes(TextEncodeRecipe)
def _make(recipe: TextEncodeRecipe, work: Work) -> dict[str, Tensor]:
    return text_encode(recipe, work.open(recipe.weights))
