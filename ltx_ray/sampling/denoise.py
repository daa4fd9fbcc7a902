"""The one loop: a descent of the noise schedule over video and audio together, whatever the workflow.

Every workflow is said in the two states: pinned tokens (``denoise_mask`` 0) equal ``clean`` before, in and after every
step, bit for bit, whatever the model says of them, NaN included. Latents are float32; the model may compute in less.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from itertools import pairwise

import torch
from torch import Tensor

from ltx_ray.errors import PlanError
from ltx_ray.sampling.conditioning import without_guides
from ltx_ray.sampling.guidance import Questions, guide
from ltx_ray.sampling.noise import step_noise
from ltx_ray.sampling.pinning import Pinning, Pins
from ltx_ray.sampling.samplers import SAMPLERS, Past, Sampler, Step
from ltx_ray.sampling.state import LatentState, Tokens
from ltx_ray.spec.protocols import Control, Denoiser
from ltx_ray.spec.recipe import Guidance, SamplingRecipe


def denoise(
    denoiser: Denoiser,
    video: LatentState,
    audio: LatentState,
    *,
    sampling: SamplingRecipe,
    text: Mapping[str, Tensor],
    control: Control,
    guidance: Guidance | None = None,
    negative_text: Mapping[str, Tensor] | None = None,
    noise_seed: int | None = None,
) -> tuple[LatentState, LatentState]:
    """The states at the last sigma of ``sampling``, from states at its first (see ``noise.noised``).

    Tokens that conditioning appended are gone from the result.

    Args:
        guidance: None is neutral: one pass of ``denoiser`` an evaluation, which then needs nothing but ``velocity``.
        negative_text: what the encoder made of the negative prompt; needed where a cfg is not 1.0.
        noise_seed: of the noise that a stochastic sampler injects; the others need none.

    Raises:
        PlanError: the recipe names a sampler that does not exist, or guidance lacks its negative prompt or blocks.
        ModelError: guidance asks for a pass that the model does not have.
        Cancelled: ``control`` was asked to stop; it is asked before every step.
    """
    sampler = _sampler(sampling.sampler)
    guidance = guidance or Guidance()
    questions = Questions(denoiser, guidance, text=text, negative_text=negative_text)
    pins = Pins(Pinning.of(video), Pinning.of(audio))
    sigmas = [_float32(sigma) for sigma in sampling.sigmas]
    noise = _noise(noise_seed, Tokens(video.latent, audio.latent), sampling.sampler)

    def predict(x: Tokens, sigma: float) -> Tokens:
        answers = questions.ask(video.with_latent(x.video), audio.with_latent(x.audio), sigma)
        return pins.blend(guide(answers.map(lambda velocity: pins.x0(x, velocity, sigma)), guidance))

    x, past = pins.pin(Tokens(video.latent, audio.latent)), None
    with torch.no_grad():
        for step_idx, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
            control.step(step_idx, len(sigmas) - 1)
            x0 = predict(x, sigma)
            x = pins.pin(sampler(x, x0, Step(sigma, sigma_next, past, pins.blend, predict, noise)))
            past = Past(sigma, x0)
    return without_guides(video.with_latent(x.video)), without_guides(audio.with_latent(x.audio))


def _sampler(name: str) -> Sampler:
    if name not in SAMPLERS:
        raise PlanError(f"sampler: {name!r} is not known; the samplers are {', '.join(sorted(SAMPLERS))}")
    return SAMPLERS[name]


def _noise(seed: int | None, like: Tokens, sampler: str) -> Callable[[], Tokens]:
    if seed is not None:
        return step_noise(seed, like)

    def refuse() -> Tokens:
        raise AssertionError(f"sampler {sampler} injects noise: give noise_seed")

    return refuse


def _float32(sigma: float) -> float:
    """The nearest float32: differences of sigmas then round as they do in the reference's float32 schedule."""
    nearest: float = struct.unpack("f", struct.pack("f", sigma))[0]
    return nearest
