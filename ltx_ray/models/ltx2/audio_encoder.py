"""Sound to normalised cells with diffusers' LTX-2 audio VAE; what ``audio_vae`` decodes, the other way.

The encoder is causal: cell i ends with mel frame 4i, as it decodes to one, so a cell has one place in time both ways.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ltx_ray.models.ltx2.audio_mel import N_FFT, log_mel, resample
from ltx_ray.models.ltx2.audio_reach import check_windowable
from ltx_ray.spec.grid import AudioGrid

Module = Any  #: a module of diffusers, whose attributes carry no types


class MelAudioEncoder:
    """Satisfies ``spec.protocols.AudioEncoder``.

    Raises:
        ModelError: the VAE is not causal in time.
    """

    def __init__(self, audio_vae: Module, grid: AudioGrid) -> None:
        check_windowable(audio_vae)
        self._vae, self._grid = audio_vae, grid

    @torch.no_grad()
    def encode(self, samples: Tensor, num_cells: int, *, num_context_samples: int = 0) -> Tensor:
        """Normalised cells, float32 [1, num_cells, C] on the CPU: the mode of the posterior.

        Sound before time 0 is not listened to: the encoder was trained on clips that begin there.
        """
        vae, config = self._vae, self._vae.config
        rate, hop = config["sample_rate"], config["mel_hop_length"]
        sound = resample(samples[:, num_context_samples:].float().cpu(), self._grid.sample_rate_hz, rate)
        num_slots = self._grid.num_slots(num_cells)
        sound = functional.pad(sound, (0, max(0, max(num_slots * hop, N_FFT) - sound.shape[1])))
        mel = log_mel(sound, sample_rate_hz=rate, hop=hop, num_bins=config["mel_bins"])[None, :, :num_slots]
        latent_BCLM: Tensor = vae.encode(mel.to(vae.device, vae.dtype), return_dict=False)[0].mode()
        cells_BLC = latent_BCLM.float().transpose(1, 2).flatten(2)
        normalised: Tensor = (cells_BLC - vae.latents_mean.to(cells_BLC)) / vae.latents_std.to(cells_BLC)
        return normalised.cpu()
