"""Sound to what diffusers' LTX-2 audio VAE encodes: log-mel frames of 16 kHz sound, which diffusers itself lacks.

Mel frame i is centred on sample i * hop, and the sound is mirrored at its two ends, as in training.
Source of every constant: Lightricks/LTX-2@400fd31 ltx_core/model/audio_vae/ops.py ``AudioProcessor``; the size of the
transform is the default of audio_vae.py ``AudioEncoder``. torchaudio, which it calls, is not needed for so little.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional
from transformers.audio_utils import mel_filter_bank

#: Samples of the Fourier transform and of its Hann window.
N_FFT = 1024
#: Magnitudes below this count as silence.
FLOOR = 1e-5
#: Zero crossings of the resampler's sinc on each side, and the part of the band it keeps: torchaudio's defaults.
SINC_ZEROS = 6
ROLLOFF = 0.99


def log_mel(samples: Tensor, *, sample_rate_hz: int, hop: int, num_bins: int) -> Tensor:
    """Log-mel frames, float32 [channels, frames, bins], of samples [channels, n > N_FFT / 2]; n // hop + 1 frames."""
    window = torch.hann_window(N_FFT)
    spectrum = torch.stft(
        samples, N_FFT, hop_length=hop, window=window, center=True, pad_mode="reflect", return_complex=True
    )
    mel = _filters(sample_rate_hz, num_bins) @ spectrum.abs()
    return mel.clamp(min=FLOOR).log().transpose(1, 2)


def resample(samples: Tensor, from_hz: int, to_hz: int) -> Tensor:
    """Samples [channels, n] at another rate, ceil(n * to / from) of them; sample 0 stays sample 0.

    A sinc under a squared cosine, evaluated at the exact distance of every pair of samples.
    Source: torchaudio 2.x functional ``resample`` with its defaults.
    """
    if from_hz == to_hz:
        return samples
    divisor = math.gcd(from_hz, to_hz)
    step, phases = from_hz // divisor, to_hz // divisor
    kernels, reach = _sinc_kernels(step, phases)
    padded = functional.pad(samples[:, None], (reach, reach + step))
    out = functional.conv1d(padded, kernels[:, None], stride=step)  # [channels, phases, n / step]
    length = -(-samples.shape[1] * phases // step)
    return out.transpose(1, 2).flatten(1)[:, :length]


@lru_cache(maxsize=8)
def _sinc_kernels(step: int, phases: int) -> tuple[Tensor, int]:
    """A kernel [phases, 2 * reach + step] for every place that a result has between the samples, and its reach."""
    band = ROLLOFF * min(step, phases)
    reach = math.ceil(SINC_ZEROS * step / band)
    taps = torch.arange(-reach, reach + step, dtype=torch.float64) / step
    places = torch.arange(phases, dtype=torch.float64) / phases
    distance = ((taps - places[:, None]) * band).clamp(-SINC_ZEROS, SINC_ZEROS)
    taper = torch.cos(distance * math.pi / SINC_ZEROS / 2) ** 2
    return (torch.sinc(distance) * taper * band / step).float(), reach


@lru_cache(maxsize=8)
def _filters(sample_rate_hz: int, num_bins: int) -> Tensor:
    """Triangles on Slaney's mel scale, each of area one, from 0 Hz to half the rate; [bins, frequencies]."""
    bank = mel_filter_bank(
        N_FFT // 2 + 1, num_bins, 0.0, sample_rate_hz / 2, sample_rate_hz, norm="slaney", mel_scale="slaney"
    )
    return torch.from_numpy(bank.T).float().contiguous()
