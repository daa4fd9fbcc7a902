"""VAEs and vocoders with random weights: the published layer structures with few channels, and short ones for speed.

Everything is float64 unless asked: then streams and windows must agree to the last digits, not only within a tolerance.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from diffusers import AutoencoderKLLTX2Audio, AutoencoderKLLTX2Video
    from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder, LTX2VocoderWithBWE

LATENT_CHANNELS = 8
FACTORS = {"latent_channels": LATENT_CHANNELS, "spatial_compression_ratio": 32, "temporal_compression_ratio": 8}

#: Layer structures as published, channels cut to a few.
VIDEO: dict[str, dict[str, Any]] = {
    "2.0": {
        "block_out_channels": (8, 16, 16, 16),
        "decoder_block_out_channels": (8, 16, 32),
        "layers_per_block": (4, 6, 6, 2, 2),
        "decoder_layers_per_block": (5, 5, 5, 5),
        "decoder_causal": False,
    },
    "2.3": {
        "block_out_channels": (8, 16, 32, 32),
        "decoder_block_out_channels": (8, 16, 16, 32),
        "layers_per_block": (4, 6, 4, 2, 2),
        "decoder_layers_per_block": (4, 6, 4, 2, 2),
        "decoder_causal": False,
        "decoder_inject_noise": (False,) * 5,
        "decoder_spatio_temporal_scaling": (True,) * 4,
        "decoder_spatial_padding_mode": "zeros",
        "upsample_factor": (2, 2, 1, 2),
        "upsample_residual": (False,) * 4,
        "upsample_type": ("spatiotemporal", "spatiotemporal", "temporal", "spatial"),
    },
}
#: One residual block a stage.
SHORT = {"layers_per_block": (1,) * 5}
SHORT_VIDEO: dict[str, dict[str, Any]] = {
    "2.0": {**VIDEO["2.0"], **SHORT, "decoder_layers_per_block": (1,) * 4},
    "2.3": {**VIDEO["2.3"], **SHORT, "decoder_layers_per_block": (1,) * 5},
    "causal": {**VIDEO["2.3"], **SHORT, "decoder_layers_per_block": (1,) * 5, "decoder_causal": True},
    # a stage that changes its number of channels, as no published one does
    "narrowing": {
        **VIDEO["2.0"],
        **SHORT,
        "decoder_layers_per_block": (1,) * 4,
        "upsample_factor": (1, 1, 1),
    },
}

MEL_BINS = 8
CELL_CHANNELS = 8 * MEL_BINS // 4


def video_vae(config: dict[str, Any], dtype: torch.dtype = torch.float64) -> AutoencoderKLLTX2Video:
    torch.manual_seed(7)
    vae = AutoencoderKLLTX2Video(**FACTORS, **config)
    vae.latents_mean.normal_()
    vae.latents_std.uniform_(0.5, 1.5)
    return vae.to(dtype).eval()


@cache
def short_video_vae(structure: str) -> AutoencoderKLLTX2Video:
    return video_vae(SHORT_VIDEO[structure])


def video_latent(num_latents: int, *, seed: int = 1) -> torch.Tensor:
    return torch.randn(1, LATENT_CHANNELS, num_latents, 2, 2, generator=torch.Generator().manual_seed(seed))


@cache
def audio_vae(dtype: torch.dtype = torch.float64, **changes: Any) -> AutoencoderKLLTX2Audio:
    torch.manual_seed(7)
    vae = AutoencoderKLLTX2Audio(**{"base_channels": CELL_CHANNELS, "mel_bins": MEL_BINS, **changes})
    vae.latents_mean.normal_()
    vae.latents_std.uniform_(0.5, 1.5)
    return vae.to(dtype).eval()


#: Few samples a mel frame, and blocks that do not look far: fast, and unlike the published ones in every number.
SHORT_BLOCKS = {"resnet_kernel_sizes": [3, 1], "resnet_dilations": [[1, 3], [1, 1]]}
SHORT_PLAIN = {"upsample_kernel_sizes": [8, 4], "upsample_factors": [4, 2], **SHORT_BLOCKS}
SHORT_EXTENSION = {"upsample_kernel_sizes": [8, 5], "upsample_factors": [4, 3], **SHORT_BLOCKS}
SHORT_STFT = {"filter_length": 16, "hop_length": 4, "window_length": 16}
#: Samples a mel frame.
HOP = {"plain": 240, "extending": 480, "short plain": 8, "short extending": 24}


@cache
def vocoder(kind: str, dtype: torch.dtype = torch.float64) -> LTX2Vocoder | LTX2VocoderWithBWE:
    """``plain`` as in 2.0 or ``extending`` as in 2.3 and 2.5, with few channels; or ``short`` ones of both kinds."""
    torch.manual_seed(7)
    is_short = kind.startswith("short")
    config: dict[str, Any] = {"in_channels": 2 * MEL_BINS, "hidden_channels": 64, **(SHORT_PLAIN if is_short else {})}
    if kind.endswith("plain"):
        return LTX2Vocoder(**config).to(dtype).eval()
    extension = SHORT_EXTENSION if is_short else {}
    config |= {f"bwe_{name}": value for name, value in extension.items()} | (SHORT_STFT if is_short else {})
    config |= {"bwe_in_channels": 2 * MEL_BINS, "bwe_hidden_channels": 32, "num_mel_channels": MEL_BINS}
    made = LTX2VocoderWithBWE(**config)
    made.mel_stft.stft_fn.forward_basis.normal_(0, 0.05)
    made.mel_stft.mel_basis.uniform_(0, 1)
    return made.to(dtype).eval()


def audio_latent(num_cells: int) -> torch.Tensor:
    return torch.randn(1, num_cells, CELL_CHANNELS, generator=torch.Generator().manual_seed(1))
