"""A stage-1 latent to the final size, by the checkpoint's own upsampler network.

The network works on latents as the VAE makes them, so statistics are taken off before and put on after.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Ltx2Upscaler:
    """Satisfies ``spec.protocols.Upscaler``; also lengthens, when the network is the temporal one.

    Args:
        mean: ``latents_mean`` [C] of the video VAE; ``std`` likewise.
        scaling_factor: of the VAE's configuration.
    """

    def __init__(self, upsampler: Any, mean: Tensor, std: Tensor, *, scaling_factor: float = 1.0) -> None:
        self._upsampler = upsampler
        self._mean, self._std, self._factor = mean, std, scaling_factor

    @torch.no_grad()
    def upscale(self, latent_BCFHW: Tensor) -> Tensor:
        """[B, C, F, H * ratio, W * ratio], normalised, float32.

        The order of casts is that of LTX2Pipeline, LTX2LatentUpsamplePipeline and LTX2Pipeline in a row: statistics
        off in float32, the network and statistics on in the network's type.
        """
        raw = latent_BCFHW * self._like(self._std, latent_BCFHW) / self._factor + self._like(self._mean, latent_BCFHW)
        large = self._upsampler(raw.to(device=self._upsampler.device, dtype=self._upsampler.dtype))
        normalised = (large - self._like(self._mean, large)) * self._factor / self._like(self._std, large)
        result: Tensor = normalised.to(latent_BCFHW)
        return result.contiguous()

    @staticmethod
    def _like(statistic: Tensor, latent: Tensor) -> Tensor:
        return statistic.view(1, -1, 1, 1, 1).to(latent)
