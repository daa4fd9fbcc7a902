"""Exact decoding of sound of any length, window by window, with diffusers' LTX-2 audio VAE and vocoders.

Cell 0 decodes to one mel frame, every later one to ``cell`` of them; a mel frame to ``hop`` samples. Windows begin at
multiples of ``cells_per_call`` of the whole timeline and are decoded with all the cells they depend on, so a sample is
the same, bit for bit, whatever range is asked for, and equals one-piece decoding up to rounding.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.audio_reach import Range, cells_of_mel, check_windowable, mel_of_samples

Module = Any  #: a module of diffusers, whose attributes carry no types

CELLS_PER_CALL = 250  # 10 s


class WindowedAudioDecoder:
    """Satisfies ``spec.protocols.AudioDecoder``. ``cells_per_call`` bounds memory and can move the last bits.

    Raises:
        ModelError: the VAE cannot be decoded in windows.
    """

    def __init__(self, audio_vae: Module, vocoder: Module, *, cells_per_call: int = CELLS_PER_CALL) -> None:
        check_windowable(audio_vae)
        self._vae, self._vocoder, self._cells_per_call = audio_vae, vocoder, cells_per_call
        self._cell: int = audio_vae.temporal_compression_ratio  #: mel frames
        self._hop = _samples_per_mel(vocoder.config)
        #: cells that a cell's own samples depend on before and after it
        self.reach = self._find_reach()

    @torch.no_grad()
    def decode(self, latent_BLC: Tensor, start: int, stop: int) -> Tensor:
        """Samples [start, stop), float32 [2, n] on the CPU.

        Args:
            latent_BLC: normalised, batch 1, any device; cells of the whole timeline from its time 0.
        Raises:
            ModelError: samples beyond the last cell are asked for.
        """
        num_cells = latent_BLC.shape[1]
        total = self._first_sample(num_cells)
        if latent_BLC.shape[0] != 1 or not 0 <= start <= stop <= total:
            raise ModelError(
                f"audio latent: samples [{start}, {stop}) of batch {latent_BLC.shape[0]} are not inside the {total} "
                f"samples of batch 1 that {num_cells} cells decode to"
            )
        sound = torch.empty(self._vocoder.config["out_channels"], stop - start)
        for first in range(0, num_cells, self._cells_per_call):
            last = min(num_cells, first + self._cells_per_call)
            begin, end = max(start, self._first_sample(first)), min(stop, self._first_sample(last))
            if begin < end:
                sound[:, begin - start : end - start] = self._window(latent_BLC, Range(first, last - 1), begin, end)
        return sound

    def _window(self, latent_BLC: Tensor, own: Range, begin: int, end: int) -> Tensor:
        """Samples [begin, end), which belong to the cells ``own``."""
        before, after = self.reach
        first = max(0, own.first - before)
        cells = latent_BLC[:, first : own.last + 1 + after]
        waveform: Tensor = self._vocoder(self._mel(cells))[0]
        if waveform.shape[1] != self._first_sample(cells.shape[1]):
            raise ModelError(
                f"vocoder: {waveform.shape[1]} samples from {cells.shape[1]} cells are not "
                f"{self._first_sample(cells.shape[1])}, so sound has no exact place in time"
            )
        offset = first * self._cell * self._hop
        return waveform[:, begin - offset : end - offset].float()

    def _mel(self, cells_BLC: Tensor) -> Tensor:
        """Mel frames [1, 2, frames, bins]: denormalised in float32, decoded in the VAE's dtype, as the pipelines do."""
        vae = self._vae
        cells_BLC = cells_BLC.to(vae.device, torch.float32)
        cells_BLC = cells_BLC * vae.latents_std.to(cells_BLC) + vae.latents_mean.to(cells_BLC)
        mel_bins = vae.config["mel_bins"] // vae.mel_compression_ratio
        latent_BCLM = torch.unflatten(cells_BLC, 2, (-1, mel_bins)).transpose(1, 2)
        mel: Tensor = vae.decode(latent_BCLM.to(vae.dtype), return_dict=False)[0]
        return mel.to(self._vocoder.device, self._vocoder.dtype)

    def _first_sample(self, cell_idx: int) -> int:
        """Where a cell's samples begin; also where those of the one before it end."""
        return max(0, (cell_idx - 1) * self._cell + 1) * self._hop

    def _find_reach(self) -> tuple[int, int]:
        cell_idx = 10_000
        samples = Range(self._first_sample(cell_idx), self._first_sample(cell_idx + 1) - 1)
        cells = cells_of_mel(mel_of_samples(samples, self._vocoder), self._vae.decoder)
        return cell_idx - cells.first, cells.last - cell_idx


def _samples_per_mel(config: Any) -> int:
    samples: int = math.prod(config["upsample_factors"])
    if "input_sampling_rate" in config:
        samples = samples * config["output_sampling_rate"] // config["input_sampling_rate"]
    return samples
