"""A stage-1 latent to the final size, in latent space."""

from __future__ import annotations

from torch import Tensor

from ltx_ray.spec.protocols import Model
from ltx_ray.spec.recipe import UpscaleRecipe
from ltx_ray.stages.work import Work, makes


def upscale(recipe: UpscaleRecipe, video_BCFHW: Tensor, model: Model) -> dict[str, Tensor]:
    """``video`` [1, C, F, H * ratio, W * ratio], normalised as before."""
    video = model.upscaler().upscale(video_BCFHW)
    expected = tuple(int(side * recipe.ratio) for side in video_BCFHW.shape[-2:])
    assert tuple(video.shape[-2:]) == expected, f"upscaled to {tuple(video.shape[-2:])}, planned {expected}"
    return {"video": video}


@makes(UpscaleRecipe)
def _make(recipe: UpscaleRecipe, work: Work) -> dict[str, Tensor]:
    return upscale(recipe, work.inputs.tensor("latent", "video"), work.open(recipe.weights))
