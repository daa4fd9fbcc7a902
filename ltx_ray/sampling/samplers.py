"""Samplers: one step of the descent from ``sigma`` to ``sigma_next``, for both modalities at once.

All solve dx/dsigma = (x - x0(x, sigma)) / sigma. In t = -log(sigma) that is dx/dt = x0 - x, the equation for which
k-diffusion writes its solvers, so their formulas hold for rectified flow unchanged; only noise that is injected needs
alpha = 1 - sigma. A sampler knows nothing of models, prompts or pinning: ``x0`` comes pinned and the loop pins again
after each step. Each is a function ``(x, x0, step) -> x at step.sigma_next``, for tensors of any float type.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

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
    levels: Tokens  #: [B, T, 1], the share of sigma a token is noised to: its denoise mask
    predict: Callable[[Tokens, float], Tokens]  #: x0 at another point; one more evaluation of the model
    noise: Callable[[], Tokens]  #: fresh standard normal tokens


Sampler = Callable[[Tokens, Tokens, Step], Tokens]


def euler(x: Tokens, x0: Tokens, step: Step) -> Tokens:
    """First order, one evaluation.

    Source: EulerDiffusionStep, Lightricks/LTX-2@400fd31; FlowMatchEulerDiscreteScheduler.step, diffusers 0.42.1, equal
    bit for bit.
    """
    dt = step.sigma_next - step.sigma

    def advance(x: Tensor, x0: Tensor) -> Tensor:
        return x + dt * ((x - x0) / step.sigma)

    return _each(advance, x, x0)


#: By the name a recipe uses.
SAMPLERS: dict[str, Sampler] = {"euler": euler}


def _each(advance: Callable[..., Tensor], *tokens: Tokens) -> Tokens:
    """``advance`` applied to the video tensors and to the audio tensors."""
    return Tokens(advance(*(pair.video for pair in tokens)), advance(*(pair.audio for pair in tokens)))
