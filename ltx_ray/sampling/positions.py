"""Where tokens are, as rotary embeddings want it: seconds for time, pixels for rows and columns, [start, stop).

Axis 1 is (time, row, column) for video and (time) for audio. Seconds count from the segment's own time 0, so a segment
looks the same to the model wherever it stands in its take. Bit-equal to diffusers 0.42.1 where the segment starts its
take: video in float32 steps as ``prepare_video_coords`` takes them, audio rounded once from exact fractions.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import torch
from torch import Tensor

from ltx_ray.sampling.state import AudioLayout, LatentState, VideoLayout
from ltx_ray.spec.grid import AudioGrid, VideoGrid


def video_positions(layout: VideoLayout, grid: VideoGrid) -> Tensor:
    """[1, 3, T, 2] of a segment's tokens: latent 0 is one frame, every later one ``frames_per_latent``."""
    frames = _frame_bounds(layout.num_latents, grid)
    return _bounds(frames, layout.height, layout.width, px=grid.px_per_latent, frame_rate=layout.frame_rate)


def keyframe_positions(layout: VideoLayout, grid: VideoGrid, *, frame_idx: int, num_latents: int = 1) -> Tensor:
    """[1, 3, T, 2] of a guide of ``num_latents`` latents, at the layout's size, whose first frame is ``frame_idx``.

    One latent is a still and lasts one frame, anywhere. More are a piece of film: from frame 0 they lie as a segment's
    do; later each latent takes ``frames_per_latent`` frames, for the model was taught them so.

    Source: VideoConditionByKeyframeIndex, Lightricks/LTX-2@400fd31 ltx_core/conditioning/types/keyframe_cond.py.
    """
    if num_latents == 1:
        frames = torch.tensor([[frame_idx, frame_idx + 1]], dtype=torch.float32)
    elif frame_idx == 0:
        frames = _frame_bounds(num_latents, grid)
    else:
        starts = torch.arange(num_latents, dtype=torch.float32) * grid.frames_per_latent + frame_idx
        frames = torch.stack([starts, starts + grid.frames_per_latent], dim=-1)
    return _bounds(frames, layout.height, layout.width, px=grid.px_per_latent, frame_rate=layout.frame_rate)


def reference_positions(layout: VideoLayout, grid: VideoGrid, *, downscale: int = 1) -> Tensor:
    """[1, 3, T, 2] of a reference video that lies over a segment: ``layout`` is its own, smaller by ``downscale``.

    Source: VideoConditionByReferenceLatent, as above; temporal scaling is left out.
    """
    positions = video_positions(layout, grid)
    positions[:, 1:] *= downscale
    return positions


def audio_positions(layout: AudioLayout, grid: AudioGrid) -> Tensor:
    """[1, 1, L, 2]; a cell that reaches back before the segment's time 0 starts below 0."""
    seconds = [(float(start), float(stop)) for start, stop in audio_seconds(layout, grid)]
    return torch.tensor(seconds, dtype=torch.float32)[None, None]


def state_positions(state: LatentState, grid: VideoGrid | AudioGrid) -> Tensor:
    """[1, axes, T, 2] of every token of ``state``, appended ones last."""
    if isinstance(grid, VideoGrid):
        own = video_positions(state.video_layout, grid)
    else:
        own = audio_positions(state.audio_layout, grid)
    return own if state.appended_positions is None else torch.cat([own, state.appended_positions], dim=2)


def video_seconds(layout: VideoLayout, grid: VideoGrid) -> list[tuple[Fraction, Fraction]]:
    """Exact [start, stop) of each latent."""
    frames = [grid.first_frame(latent_idx) for latent_idx in range(layout.num_latents + 1)]
    return [(start / layout.frame_rate, stop / layout.frame_rate) for start, stop in pairwise(frames)]


def audio_seconds(layout: AudioLayout, grid: AudioGrid) -> list[tuple[Fraction, Fraction]]:
    """Exact [start, stop) of each cell, from the segment's time 0."""
    cells = range(layout.start, layout.start + layout.num_cells)
    slots = [(grid.first_slot(cell_idx), grid.first_slot(cell_idx + 1)) for cell_idx in cells]
    return [(start * grid.slot_s - layout.origin_s, stop * grid.slot_s - layout.origin_s) for start, stop in slots]


def _frame_bounds(num_latents: int, grid: VideoGrid) -> Tensor:
    """[F, 2] first and stop frame of each latent."""
    frames = [grid.first_frame(latent_idx) for latent_idx in range(num_latents + 1)]
    return torch.tensor(list(pairwise(frames)), dtype=torch.float32)


def _bounds(frames: Tensor, height: int, width: int, *, px: int, frame_rate: Fraction) -> Tensor:
    """[1, 3, F*H*W, 2] of frame bounds [F, 2] in seconds crossed with rows and columns in pixels."""
    seconds = frames / float(frame_rate)
    rows, columns = _pixel_bounds(height, px), _pixel_bounds(width, px)
    shape = (len(frames), height, width, 2)
    axes = (seconds[:, None, None], rows[None, :, None], columns[None, None, :])
    return torch.stack([axis.expand(shape) for axis in axes]).flatten(1, 3)[None]


def _pixel_bounds(count: int, px: int) -> Tensor:
    starts = torch.arange(count, dtype=torch.float32) * px
    return torch.stack([starts, starts + px], dim=-1)
