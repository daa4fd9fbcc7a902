"""A model whose codec loses nothing: a cell is 8x8 pixels of one colour, and no words are written on them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ltx_ray.models.testcard.cells import to_cells
from ltx_ray.models.testcard.model import TestCard


@dataclass(frozen=True)
class PlainDecoder:
    """Gives frames ``size`` at a time."""

    size: int

    def decode(self, latent_BCFHW, start, stop):
        cells = torch.from_numpy(to_cells(latent_BCFHW[0]))[7:]
        frames = cells[start:stop].repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)
        yield from frames.split(self.size)


class PlainModel(TestCard):
    def __init__(self, size: int = 3) -> None:
        self._size = size

    def video_decoder(self, tiling="stream"):
        return PlainDecoder(self._size)


def cells(num_frames, size=64):
    """Random pictures that the codec keeps."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(0, 256, (num_frames, size // 8, size // 8, 3), dtype=torch.uint8, generator=generator)
    return drawn.repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)


def encoded(frames):
    return PlainModel().video_encoder().encode(frames)
