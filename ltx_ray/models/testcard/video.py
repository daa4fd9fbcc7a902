"""Pictures to latents and back, and the step from stage 1 to stage 2.

The codec is local: a latent decodes to its own frames whatever stands around it, so windows need no context.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ltx_ray.models.testcard.cells import caption_of, enlarged, to_cells, to_latent
from ltx_ray.models.testcard.facts import TESTCARD
from ltx_ray.models.testcard.layout import CELL_PX
from ltx_ray.models.testcard.paint import Painter

_FRAMES = TESTCARD.video.frames_per_latent


class CardUpscaler:
    """Satisfies ``spec.protocols.Upscaler``: every cell becomes four."""

    def upscale(self, latent_BCFHW: Tensor) -> Tensor:
        return enlarged(latent_BCFHW)


class CardVideoDecoder:
    """Satisfies ``spec.protocols.VideoDecoder``. Keeps the still parts of the last picture, so use one per thread."""

    def __init__(self) -> None:
        self._painter = Painter()

    def decode(self, latent_BCFHW: Tensor, start: int, stop: int) -> Iterator[Tensor]:
        grid = TESTCARD.video
        stop = min(stop, grid.num_frames(latent_BCFHW.shape[2]))
        for latent in range(grid.latent_of(start), grid.latent_of(stop - 1) + 1 if stop > start else 0):
            one = latent_BCFHW[0, :, latent]
            cells, caption = to_cells(one[:, None]), caption_of(one)
            first = grid.first_frame(latent)
            for frame in range(max(start, first), min(stop, grid.num_frames(latent + 1))):
                slot = _FRAMES - 1 if latent == 0 else frame - first
                yield torch.from_numpy(self._painter.paint(cells[slot], caption))[None]


class CardVideoEncoder:
    """Satisfies ``spec.protocols.VideoEncoder``: the mean of every cell. Words on the picture do not come back."""

    def encode(self, frames_NHWC: Tensor) -> Tensor:
        frames, height, width, _ = frames_NHWC.shape
        if frames > 1:
            TESTCARD.video.check_num_frames(frames, where="frames")
        rows, columns = height // CELL_PX, width // CELL_PX
        cells = np.empty((frames + _FRAMES - 1, rows, columns, 3), np.uint8)
        for idx, frame in enumerate(frames_NHWC):
            blocks = frame.reshape(rows, CELL_PX, columns, CELL_PX, 3).float()
            cells[idx + _FRAMES - 1] = torch.round(blocks.mean(dim=(1, 3))).to(torch.uint8).numpy()
        cells[: _FRAMES - 1] = cells[_FRAMES - 1]
        return to_latent(cells, None)
