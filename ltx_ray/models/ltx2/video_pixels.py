"""Between the VAE's numbers and what the rest of the farm handles: normalised latents and uint8 pictures.

Casts and their order are those of diffusers' pipelines: a latent is cast to the VAE's dtype, then denormalised; pixels
leave [-1, 1] in the VAE's dtype and are rounded in float32; an encoded latent is normalised in float32.
Source: diffusers 0.42.1, pipelines/ltx2/pipeline_ltx2.py ``_denormalize_latents``, image_processor.py
``denormalize``, ``numpy_to_pil``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ltx_ray.errors import ModelError

VideoVae = Any  #: diffusers' AutoencoderKLLTX2Video, whose attributes carry no types


def denormalised(latent_BCFHW: Tensor, vae: VideoVae) -> Tensor:
    """What the VAE's decoder takes, on its device and in its dtype, from a normalised latent."""
    latent_BCFHW = latent_BCFHW.to(vae.device, vae.dtype)
    mean, std = _statistics(vae, latent_BCFHW)
    denormalised_BCFHW: Tensor = latent_BCFHW * std / vae.config["scaling_factor"] + mean
    return denormalised_BCFHW


def normalised(latent_BCFHW: Tensor, vae: VideoVae) -> Tensor:
    """The float32 latent the transformer knows, from what the VAE's encoder gives."""
    latent_BCFHW = latent_BCFHW.float()
    mean, std = _statistics(vae, latent_BCFHW)
    normalised_BCFHW: Tensor = (latent_BCFHW - mean) * vae.config["scaling_factor"] / std
    return normalised_BCFHW


def to_uint8(pixels_BCFHW: Tensor) -> Tensor:
    """[1, 3, F, H, W] in [-1, 1], anything outside clipped, to uint8 [F, H, W, 3] on the CPU."""
    unit_CFHW = (pixels_BCFHW[0] * 0.5 + 0.5).clamp(0, 1)
    return (unit_CFHW.permute(1, 2, 3, 0).float() * 255).round().to(torch.uint8).cpu()


def from_uint8(frames_NHWC: Tensor, vae: VideoVae) -> Tensor:
    """uint8 [F, H, W, 3] to [1, 3, F, H, W] in [-1, 1], on the VAE's device and in its dtype."""
    unit_NHWC = frames_NHWC.to(vae.device).float() / 255
    return (2 * unit_NHWC - 1).permute(3, 0, 1, 2)[None].to(vae.dtype)


def check_single(latent_BCFHW: Tensor, start: int, stop: int, num_frames: int) -> None:
    """Raise ModelError unless the latent is one video and [start, stop) lies inside its frames."""
    if latent_BCFHW.shape[0] != 1:
        raise ModelError(f"video latent: batch {latent_BCFHW.shape[0]} is not 1; decode one video at a time")
    if not 0 <= start <= stop <= num_frames:
        raise ModelError(f"video latent: frames [{start}, {stop}) are not inside the {num_frames} it decodes to")


def _statistics(vae: VideoVae, like: Tensor) -> tuple[Tensor, Tensor]:
    shape = (1, -1, 1, 1, 1)
    return vae.latents_mean.view(shape).to(like), vae.latents_std.view(shape).to(like)
