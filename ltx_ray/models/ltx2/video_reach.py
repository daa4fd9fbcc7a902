"""How far a video VAE's decoder looks in time, from its configuration alone: planning cuts windows without loading it.

The layers are those of ``video_vae.decoder_layers``, as the configuration counts them. No torch.
Source: diffusers 0.42.1, models/autoencoders/autoencoder_kl_ltx2.py, the constructors of ``LTX2VideoDecoder3d`` and
``LTX2VideoUpBlock3d``; defaults are those of ``AutoencoderKLLTX2Video``.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from ltx_ray.models.ltx2.video_span import Span, reach_through

KERNEL = 3  #: frames that every convolution sees
RESIDUAL_CONVOLUTIONS = 2
#: What an upsampler of each type multiplies the frames by.
FRAME_FACTORS = {"spatial": 1, "temporal": 2, "spatiotemporal": 2}


def decoder_reach(config: dict[str, Any]) -> tuple[int, int]:
    """Latents before and after its own that a latent's frames depend on."""
    layers = list(config.get("decoder_layers_per_block", (5, 5, 5, 5)))[::-1]
    channels = list(config.get("decoder_block_out_channels", (256, 512, 1024)))[::-1]
    factors = list(config.get("upsample_factor", (2, 2, 2)))[::-1]
    types: Sequence[str] = config.get("upsample_type", ("spatiotemporal",) * 3)
    scaling = config.get("decoder_spatio_temporal_scaling", True)
    is_scaled = [scaling] * len(channels) if isinstance(scaling, bool) else list(scaling)[::-1]
    strides = [FRAME_FACTORS[kind] if scaled else 1 for kind, scaled in zip(types, is_scaled, strict=True)]
    after = 0 if config.get("decoder_causal", True) else (KERNEL - 1) // 2

    def convolved(span: Span, count: int) -> Span:
        return span.convolved(count * (KERNEL - 1 - after), count * after)

    def follow(span: Span) -> Span:
        span = convolved(span, 1 + RESIDUAL_CONVOLUTIONS * layers[0])
        width = channels[0]
        for block, (wide, factor) in enumerate(zip(channels, factors, strict=True)):
            before, width = width // factor, wide // factor
            if before != width:
                span = convolved(span, RESIDUAL_CONVOLUTIONS)
            if is_scaled[block]:
                span = convolved(span, 1).upsampled(strides[block])
            span = convolved(span, RESIDUAL_CONVOLUTIONS * layers[block + 1])
        return convolved(span, 1)

    return reach_through(follow, prod(strides))
