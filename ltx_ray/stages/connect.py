"""The connector of a segment: the last frames that the one before it keeps, decoded and encoded again.

Encoding again gives a first latent of one frame, as the head of a segment needs it; a latent cut out of the middle
holds eight. B batch, C channels, F latent frames, H W height and width of latents or, in frames, px; L audio cells.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ltx_ray.spec.protocols import Control, Model
from ltx_ray.spec.recipe import ConnectRecipe
from ltx_ray.stages.work import CELLS_AXIS, FRAMES_AXIS, Work, makes


def connect(
    recipe: ConnectRecipe, video_BCFHW: Tensor, audio_BLC: Tensor, model: Model, control: Control
) -> dict[str, Tensor]:
    """``video`` [1, C, m + 1, H, W] of the connector's 8m + 1 frames at the recipe's size, ``audio`` [1, L, C].

    ``reencode_error`` [1], where the size stays: how far the connector's latents after its first are from the ones that
    they were decoded from, root mean square over standard deviation.

    Args:
        video_BCFHW: the recipe's pieces, end to end; normalised.
        audio_BLC: the recipe's cells, which go on as they are.
    """
    num_frames = recipe.stop - recipe.start
    model.facts.video.check_num_frames(num_frames, where="connector")
    size_px = (recipe.height_px, recipe.width_px)
    frames, num_done, is_resized = [], 0, False
    for block_NHWC in model.video_decoder(recipe.tiling).decode(video_BCFHW, recipe.start, recipe.stop):
        control.step(num_done, num_frames + 1)
        is_resized = tuple(block_NHWC.shape[1:3]) != size_px
        frames.append(_resized(block_NHWC, size_px) if is_resized else block_NHWC)
        num_done += len(block_NHWC)
    assert num_done == num_frames, f"{num_done} frames decoded of {num_frames}"
    control.step(num_frames, num_frames + 1)
    encoded_BCFHW = model.video_encoder().encode(torch.cat(frames))
    made = {"video": encoded_BCFHW, "audio": audio_BLC}
    if not is_resized:
        grid = model.facts.video
        first, last = grid.latent_of(recipe.start), grid.latent_of(recipe.stop - 1)
        made["reencode_error"] = _error(encoded_BCFHW[:, :, 1:], video_BCFHW[:, :, first + 1 : last + 1])
    return made


def _resized(frames_NHWC: Tensor, size_px: tuple[int, int]) -> Tensor:
    """Frames at (height, width): every new pixel is the mean of those it covers."""
    frames_NCHW = frames_NHWC.permute(0, 3, 1, 2).float()
    resized = torch.nn.functional.interpolate(frames_NCHW, size=size_px, mode="area")
    return torch.round(resized).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _error(found_BCFHW: Tensor, wanted_BCFHW: Tensor) -> Tensor:
    wanted = wanted_BCFHW.float()
    error: Tensor = (found_BCFHW.float() - wanted).square().mean().sqrt() / wanted.std().clamp_min(1e-6)
    return error.reshape(1)


@makes(ConnectRecipe)
def _make(recipe: ConnectRecipe, work: Work) -> dict[str, Tensor]:
    video = work.inputs.joined("latent", "video", recipe.pieces, dim=FRAMES_AXIS)
    audio = work.inputs.joined("sound", "audio", [recipe.cells], dim=CELLS_AXIS)
    return connect(recipe, video, audio, work.open(recipe.weights), work.control)
