"""Audio cells to samples. Exact at any window: a beep is a stored waveform, looked up by place in the take."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ltx_ray.models.testcard import tune


class CardAudioDecoder:
    """Satisfies ``spec.protocols.AudioDecoder``."""

    def decode(self, latent_BLC: Tensor, start: int, stop: int) -> Tensor:
        """Samples [start, stop), float32 [2, samples]; silence where cells say nothing or the latent has ended."""
        numbers, keys = tune.read_cells(latent_BLC[0].float().cpu().numpy())
        out = np.zeros(stop - start, np.float32)
        for idx, (number, key) in enumerate(zip(numbers, keys, strict=True)):
            begin = max(start, 0 if idx == 0 else idx * tune.CELL_SAMPLES - 3 * tune.SLOT_SAMPLES)
            end = min(stop, idx * tune.CELL_SAMPLES + tune.SLOT_SAMPLES)
            if begin < end and number >= 0:
                shift = (int(number) - idx) * tune.CELL_SAMPLES
                out[begin - start : end - start] = tune.sound(begin + shift, end + shift, int(key))
        return torch.from_numpy(np.stack([out, out]))
