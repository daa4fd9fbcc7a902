"""Latents and the small pictures they hold. Exact both ways: a level of a cell is one of 256 points in [-1, 1].

A latent pixel is eight frames x 4x4 cells x RGB, then the caption's half bytes. Latent 0 of whatever is given holds one
frame, and it is the last of its eight: so a latent cut out of a longer video shows the frame it ended with.
B batch, C channels, F latent frames, H W latent height and width, N frames, R rows and K columns of cells.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltx_ray.models.testcard.caption import Caption, from_levels, to_levels
from ltx_ray.models.testcard.facts import CAPTION_CHANNELS, CELLS_PER_LATENT, PICTURE_CHANNELS, TESTCARD

_FRAMES = TESTCARD.video.frames_per_latent
_SIDE = CELLS_PER_LATENT


def to_latent(cells_NRKC: NDArray[np.uint8], caption: Caption | None) -> Tensor:
    """Latent [1, C, F, H, W] of eight frames a latent; the caller repeats the first frame eight times."""
    frames, rows, columns, _ = cells_NRKC.shape
    latents, height, width = frames // _FRAMES, rows // _SIDE, columns // _SIDE
    split = torch.from_numpy(cells_NRKC).reshape(latents, _FRAMES, height, _SIDE, width, _SIDE, 3)
    picture = split.permute(1, 3, 5, 6, 0, 2, 4).reshape(PICTURE_CHANNELS, latents, height, width)
    latent = torch.zeros(1, PICTURE_CHANNELS + CAPTION_CHANNELS, latents, height, width)
    latent[0, :PICTURE_CHANNELS] = picture.float() / 127.5 - 1
    if caption is not None:
        levels = torch.from_numpy(to_levels(caption, height * width * CAPTION_CHANNELS))
        latent[0, PICTURE_CHANNELS:] = levels.reshape(height, width, CAPTION_CHANNELS).permute(2, 0, 1)[:, None]
    return latent


def to_values(latent_CFHW: Tensor) -> NDArray[np.float32]:
    """Cells [F*8, R, K, 3] as they stand, float32, clean or noisy."""
    _, latents, height, width = latent_CFHW.shape
    split = latent_CFHW[:PICTURE_CHANNELS].reshape(_FRAMES, _SIDE, _SIDE, 3, latents, height, width)
    values = split.permute(4, 0, 5, 1, 6, 2, 3).reshape(latents * _FRAMES, height * _SIDE, width * _SIDE, 3)
    return np.asarray(values.float().cpu())


def to_cells(latent_CFHW: Tensor) -> NDArray[np.uint8]:
    """Cells [F*8, R, K, 3] of a clean latent."""
    levels: NDArray[np.float32] = np.clip(np.rint((to_values(latent_CFHW) + 1) * 127.5), 0, 255)
    return levels.astype(np.uint8)


def caption_of(latent_CHW: Tensor) -> Caption | None:
    """The words of one latent frame."""
    levels = latent_CHW[PICTURE_CHANNELS:].permute(1, 2, 0).flatten()
    return from_levels(levels.float().cpu().numpy())


def enlarged(latent_BCFHW: Tensor) -> Tensor:
    """The same cells on a grid of twice the resolution; the words are left out, refine writes them anew."""
    batch, _, latents, height, width = latent_BCFHW.shape
    large = latent_BCFHW.new_zeros(batch, PICTURE_CHANNELS + CAPTION_CHANNELS, latents, 2 * height, 2 * width)
    split = latent_BCFHW[:, :PICTURE_CHANNELS]
    split = split.reshape(batch, _FRAMES, _SIDE, _SIDE, 3, latents, height, width).permute(0, 1, 4, 5, 6, 2, 7, 3)
    whole = split.reshape(batch, _FRAMES, 3, latents, height * _SIDE, width * _SIDE)
    whole = whole.repeat_interleave(2, dim=4).repeat_interleave(2, dim=5)
    again = whole.reshape(batch, _FRAMES, 3, latents, 2 * height, _SIDE, 2 * width, _SIDE)
    again = again.permute(0, 1, 5, 7, 2, 3, 4, 6)
    large[:, :PICTURE_CHANNELS] = again.reshape(batch, PICTURE_CHANNELS, latents, 2 * height, 2 * width)
    return large
