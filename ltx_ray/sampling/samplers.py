"""Samplers: one step of the descent from ``sigma`` to ``sigma_next``, for both modalities at once.

All solve dx/dsigma = (x - x0(x, sigma)) / sigma. In t = -log(sigma) that is dx/dt = x0 - x, the equation for which
k-diffusion writes its solvers, so their formulas hold for rectified flow unchanged; only noise that is injected needs
alpha = 1 - sigma. A sampler knows nothing of models, prompts or pinning: ``x0`` comes pinned and the loop pins again
after each step. Each is a function ``(x, x0, step) -> x at step.sigma_next``, for tensors of any float type.

    euler            1 evaluation a step   order 1
    euler_ancestral  1                     order 1, injects noise
    dpmpp_2m         1                     order 2
    res_2s           2, in the last one 1  order 2
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ltx_ray.sampling.state import Tokens


class Past(NamedTuple):
    """A step that was taken: where it began and what the model said there."""

    sigma: float
    x0: Tokens


@dataclass(frozen=True, slots=True)
class Step:
    """Where the descent stands, and what a sampler may ask for."""

    sigma: float
    sigma_next: float  #: < sigma; 0.0 in the last step
    past: Past | None  #: the step before; None in the first
    hold: Callable[[Tokens], Tokens]  #: tokens drawn to what holds them, by the strength of the hold
    predict: Callable[[Tokens, float], Tokens]  #: x0 at another point; one more evaluation of the model
    noise: Callable[[], Tokens]  #: fresh standard normal tokens


Sampler = Callable[[Tokens, Tokens, Step], Tokens]


def euler(x: Tokens, x0: Tokens, step: Step) -> Tokens:
    """First order, one evaluation.

    Source: FlowMatchEulerDiscreteScheduler.step, diffusers 0.42.1, equal bit for bit; EulerDiffusionStep,
    Lightricks/LTX-2@400fd31.
    """
    dt = step.sigma_next - step.sigma

    def advance(x: Tensor, x0: Tensor) -> Tensor:
        return x + dt * ((x - x0) / step.sigma)

    return _each(advance, x, x0)


def euler_ancestral(x: Tokens, x0: Tokens, step: Step) -> Tokens:
    """Euler to sigma_next**2 / sigma, then noise up to ``sigma_next`` (eta 1, s_noise 1); the last step lands on x0.

    A partly held token is drawn to what holds it once more after the noise.

    Source: EulerAncestralDiffusionStep, Lightricks/LTX-2@400fd31 ltx_core/components/diffusion_steps.py, and the
    post_process_latent after it.
    """
    if step.sigma_next == 0.0:
        return x0

    def advance(x: Tensor, x0: Tensor, noise: Tensor) -> Tensor:
        # Coefficients in the type of x and in the reference's order: 1 - sigma cancels, so in another they differ.
        sigma, sigma_next = (torch.tensor(value, dtype=x.dtype) for value in (step.sigma, step.sigma_next))
        sigma_down = sigma_next * (1.0 + (sigma_next / sigma - 1.0))
        kept = sigma_down / sigma
        alpha_up, alpha_down = 1.0 - sigma_next, 1.0 - sigma_down
        added = (sigma_next**2 - sigma_down**2 * alpha_up**2 / alpha_down**2).clamp(min=0.0).sqrt()
        return (alpha_up / alpha_down) * (kept * x + (1.0 - kept) * x0) + added * noise

    return step.hold(_each(advance, x, x0, step.noise()))


def dpmpp_2m(x: Tokens, x0: Tokens, step: Step) -> Tokens:
    """Second order from the memory of one step; the first step and the step to 0 are first order.

    Source: Lu et al. 2022, DPM-Solver++ (arXiv:2211.01095), algorithm 2; sample_dpmpp_2m, crowsonkb/k-diffusion.
    """
    if step.past is None or step.sigma_next == 0.0:
        return _exponential_euler(x, x0, step)
    h = math.log(step.sigma / step.sigma_next)
    ahead = h / (2.0 * math.log(step.past.sigma / step.sigma))
    aimed = _each(lambda now, before: now + (now - before) * ahead, x0, step.past.x0)
    return _exponential_euler(x, aimed, step)


def res_2s(x: Tokens, x0: Tokens, step: Step) -> Tokens:
    """Second order from a second evaluation at the geometric mean of the two sigmas; the step to 0 lands on x0.

    The deterministic solver: the reference's HQ loop adds noise (eta 0.5) and an iterated anchor to it, and puts 0.0011
    before the 0.0 of its schedule; write that sigma into the recipe for the same evaluations.

    Source: Hochbruck and Ostermann 2005, exponential Runge-Kutta with c2 = 1/2, in the form of Zhang et al. 2023
    (arXiv:2308.02157); get_res2s_coefficients, Lightricks/LTX-2@400fd31 ltx_pipelines/utils/res2s.py.
    """
    if step.sigma_next == 0.0:
        return x0
    h = math.log(step.sigma / step.sigma_next)
    half, full = -math.expm1(-h / 2.0), -math.expm1(-h)  # h/2 * phi_1(-h/2) and h * phi_1(-h)
    second = 2.0 * (1.0 - full / h)  # h * phi_2(-h) / c2
    middle = _each(lambda x, x0: x + half * (x0 - x), x, x0)
    x0_middle = step.predict(middle, math.sqrt(step.sigma * step.sigma_next))

    def advance(x: Tensor, x0: Tensor, x0_middle: Tensor) -> Tensor:
        return x + (full - second) * (x0 - x) + second * (x0_middle - x)

    return _each(advance, x, x0, x0_middle)


#: By the name a recipe uses.
SAMPLERS: dict[str, Sampler] = {
    "dpmpp_2m": dpmpp_2m,
    "euler": euler,
    "euler_ancestral": euler_ancestral,
    "res_2s": res_2s,
}


def _exponential_euler(x: Tokens, x0: Tokens, step: Step) -> Tokens:
    """The exact step if ``x0`` were constant: sigma_next / sigma * x + (1 - sigma_next / sigma) * x0."""
    kept = step.sigma_next / step.sigma
    return _each(lambda x, x0: kept * x + (1.0 - kept) * x0, x, x0)


def _each(advance: Callable[..., Tensor], *tokens: Tokens) -> Tokens:
    """``advance`` applied to the video tensors and to the audio tensors."""
    return Tokens(advance(*(pair.video for pair in tokens)), advance(*(pair.audio for pair in tokens)))
