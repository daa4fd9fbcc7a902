"""Noise: drawn on the CPU in float32 from a seed, so that a seed means the same on every device.

With a channel count that is a multiple of 16 a CPU draw is stable under appending: more tokens at the end leave the
noise of the first ones as it was. Each modality has its own seed, so neither shifts the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ltx_ray.sampling.state import LatentState, Tokens
from ltx_ray.spec.seeds import step_noise_seed


def draw(seed: int, shape: Sequence[int]) -> Tensor:
    """Standard normal float32 on the CPU. ``seed`` is 0..2**63 - 1."""
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn(tuple(shape), generator=generator, dtype=torch.float32)


def noised(state: LatentState, noise: Tensor, sigma: float) -> LatentState:
    """The start of a descent at ``sigma``: (1 - sigma) * latent + sigma * noise, of which held tokens have their share.

    A token that is partly held starts ``denoise_mask`` of the way from ``clean`` to that, a pinned one at ``clean``.
    The latent of an appended token is 0.

    Source: _create_noised_state, Lightricks/LTX-2@400fd31 ltx_pipelines. Where nothing is partly held, LTX2Pipeline and
    LTX2ConditionPipeline of diffusers 0.42.1; the two round 1 - sigma differently, and so does this, to be equal to
    both bit for bit.
    """
    noise = noise.to(state.latent.device)
    mask = state.denoise_mask
    if bool((mask == 1.0).all()):
        return state.with_latent(noise * sigma + state.latent * (1.0 - sigma))
    level = torch.full_like(mask, sigma)
    start = noise * level + state.latent * (1.0 - level)
    latent = torch.where(mask == 1.0, start, state.clean + mask * (start - state.clean))
    return state.with_latent(torch.where(mask == 0.0, state.clean, latent))


def step_noise(seed: int, like: Tokens) -> Callable[[], Tokens]:
    """A source of fresh noise in the shapes and on the devices of ``like``; its n-th call depends on n alone."""
    num_draws = 0

    def fresh() -> Tokens:
        nonlocal num_draws
        video = draw(step_noise_seed(seed, num_draws, "video"), like.video.shape)
        audio = draw(step_noise_seed(seed, num_draws, "audio"), like.audio.shape)
        num_draws += 1
        return Tokens(video.to(like.video), audio.to(like.audio))

    return fresh
