"""Decoding in overlapping tiles of time and picture: less memory than streaming on a small card, and not exact.

The grid is upstream's and hangs on the timeline's first latent, so a frame is the same whatever window asks for it. A
tile that begins later is decoded with one more latent before it, whose single frame is dropped: a tile's first latent
decodes to one frame, as if a timeline began there. Overlaps are blended with weights that rise and fall linearly and
add up to 1. Source: Lightricks/LTX-2@400fd31 ltx_core/tiling.py ``split_by_size``, ``split_temporal_causal``,
``compute_trapezoidal_mask_1d``; diffusers' own framewise decoding drops the wrong frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.video_pieces import FRAMES_AXIS, split
from ltx_ray.models.ltx2.video_pixels import VideoVae, check_single, denormalised, to_uint8
from ltx_ray.spec.recipe import TILE_FRAMES, TILE_OVERLAP_FRAMES

FRAMES_PER_PIECE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TileGrid:
    """Sizes and overlaps of tiles; an overlap is at most half a tile. Latents when divided by the VAE's factors."""

    frames: int = TILE_FRAMES
    frames_overlap: int = TILE_OVERLAP_FRAMES
    side_px: int = 768
    side_overlap_px: int = 64


class Tile(NamedTuple):
    """Latents [start, stop) of one axis, of which so many are shared with the tile before and the one after."""

    start: int
    stop: int
    shared_before: int
    shared_after: int

    def weights(self, factor: int, length: int) -> Tensor:
        """What each of the tile's ``length`` frames or pixels counts; ``factor`` of them belong to a shared latent."""
        weights = torch.ones(length)
        if self.shared_before:
            weights[: self.shared_before * factor] = _rise(self.shared_before * factor)
        if self.shared_after:
            weights[-self.shared_after * factor :] = _rise(self.shared_after * factor).flip(0)
        return weights


def tiles_of(length: int, size: int, overlap: int) -> list[Tile]:
    """The tiles of an axis of ``length`` latents; the last one may be shorter."""
    starts = list(range(0, max(1, length - overlap), size - overlap))
    last = len(starts) - 1
    return [
        Tile(start, min(length, start + size), overlap if idx else 0, overlap if idx < last else 0)
        for idx, start in enumerate(starts)
    ]


class TiledVideoDecoder:
    """Satisfies ``spec.protocols.VideoDecoder``. Holds one tile's stretch of time at full size, in float32.

    Raises:
        ModelError: the grid does not fit the VAE's factors.
    """

    def __init__(self, vae: VideoVae, *, grid: TileGrid | None = None) -> None:
        grid = grid or TileGrid()
        self._vae = vae
        self._step: int = vae.temporal_compression_ratio
        self._factor: int = vae.spatial_compression_ratio
        self._time = _in_latents("frames", grid.frames, grid.frames_overlap, self._step)
        self._side = _in_latents("side_px", grid.side_px, grid.side_overlap_px, self._factor)

    @torch.no_grad()
    def decode(self, latent_BCFHW: Tensor, start: int, stop: int) -> Iterator[Tensor]:
        """Frames [start, stop), uint8 [n, height, width, 3] on the CPU, a few at a time.

        Args:
            latent_BCFHW: normalised, batch 1, any device; the whole timeline, for its grid decides every tile.
        Raises:
            ModelError: the window is not inside the timeline.
        """
        num_latents = latent_BCFHW.shape[FRAMES_AXIS]
        check_single(latent_BCFHW, start, stop, self._first_frame(num_latents))
        shared: Tensor | None = None
        for tile in tiles_of(num_latents, *self._time):
            first, end = self._first_frame(tile.start), self._first_frame(tile.stop)
            if end <= start or first >= stop:
                continue
            frames = self._stretch(latent_BCFHW, tile)
            if shared is not None:
                frames[:, :, : shared.shape[FRAMES_AXIS]] += shared
            own = end - first - tile.shared_after * self._step
            shared = frames[:, :, own:].clone()
            wanted = frames[:, :, max(0, start - first) : min(own, stop - first)]
            if wanted.shape[FRAMES_AXIS]:
                yield from map(to_uint8, split(iter([wanted]), FRAMES_PER_PIECE))
            del frames, wanted  # before the next stretch is made

    def _stretch(self, latent_BCFHW: Tensor, tile: Tile) -> Tensor:
        """The tile's frames at full size, float32, weighted for the overlaps of time."""
        _, _, _, rows, columns = latent_BCFHW.shape
        num_frames = self._first_frame(tile.stop) - self._first_frame(tile.start)
        shape = (1, 3, num_frames, rows * self._factor, columns * self._factor)
        out = torch.zeros(shape, device=self._vae.device)
        for row in tiles_of(rows, *self._side):
            for column in tiles_of(columns, *self._side):
                cut = latent_BCFHW[:, :, max(0, tile.start - 1) : tile.stop, row.start : row.stop]
                pixels = self._pixels(cut[..., column.start : column.stop])[:, :, 1 if tile.start else 0 :]
                across = column.weights(self._factor, pixels.shape[4])
                down = row.weights(self._factor, pixels.shape[3])[:, None]
                place = (_pixels_of(row, self._factor), _pixels_of(column, self._factor))
                out[:, :, :, place[0], place[1]] += pixels * (down * across).to(pixels.device)
        return out.mul_(tile.weights(self._step, num_frames)[:, None, None].to(out.device))

    def _pixels(self, latent_BCFHW: Tensor) -> Tensor:
        pixels: Tensor = self._vae.decode(denormalised(latent_BCFHW, self._vae), return_dict=False)[0]
        return pixels.float()

    def _first_frame(self, latent_idx: int) -> int:
        """First frame of a latent; also the stop of the one before it."""
        return max(0, (latent_idx - 1) * self._step + 1)


def _rise(count: int) -> Tensor:
    return torch.linspace(0, 1, count + 2)[1:-1]


def _pixels_of(tile: Tile, factor: int) -> slice:
    return slice(tile.start * factor, tile.stop * factor)


def _in_latents(field: str, size: int, overlap: int, factor: int) -> tuple[int, int]:
    """Size and overlap of a tile in latents."""
    if size % factor or overlap % factor or not 0 <= 2 * overlap <= size or size < 2 * factor:
        raise ModelError(
            f"tiles: {field}={size} with overlap {overlap} must be multiples of {factor}, at least {2 * factor}, "
            f"with an overlap of at most half; the usual ones are 80 frames with 24 and 768 px with 64"
        )
    return size // factor, overlap // factor
