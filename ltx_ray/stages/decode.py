"""Frames of one window, a few at a time: no stage ever holds a video."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch import Tensor

from ltx_ray.spec.protocols import Control, Model
from ltx_ray.spec.recipe import DecodeRecipe


def decode(recipe: DecodeRecipe, video_BCFHW: Tensor, model: Model, control: Control) -> Iterator[np.ndarray]:
    """Exactly the frames [start, stop) of the take, uint8 RGB [n, height, width, 3] in pieces of n >= 1.

    Args:
        video_BCFHW: the take's whole latent timeline; the decoder looks only at what the window needs.
        control: told of every piece, in frames of the window.
    """
    num_frames, num_done = recipe.stop - recipe.start, 0
    for frames_NHWC in model.video_decoder(recipe.tiling).decode(video_BCFHW, recipe.start, recipe.stop):
        control.step(num_done, num_frames)
        num_done += len(frames_NHWC)
        yield frames_NHWC.numpy()
