"""The sound of one take."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ltx_ray.spec.protocols import Model
from ltx_ray.spec.recipe import AudioDecodeRecipe


def audio_decode(recipe: AudioDecodeRecipe, audio_BLC: Tensor, model: Model) -> np.ndarray:
    """Stereo samples [2, num_samples], float32 in [-1, 1], from the take's time 0."""
    return model.audio_decoder().decode(audio_BLC, 0, recipe.num_samples).numpy()
