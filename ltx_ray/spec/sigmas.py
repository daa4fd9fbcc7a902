"""Noise schedules: descending sigmas that end in 0.0, as a recipe holds them.

``num_steps`` is the count of intervals: a schedule has one sigma more. Pure arithmetic on floats; tests hold the values
against those that the reference publishes or computes in float32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ltx_ray.errors import PlanError
from ltx_ray.spec.canonical import later

#: 8 steps of the distilled checkpoints. Source: Lightricks/LTX-2@400fd31 ltx_pipelines/utils/constants.py.
DISTILLED = (1.0, 0.99375, 0.9875, 0.98125, 0.975, 0.909375, 0.725, 0.421875, 0.0)

#: 3 steps of a distilled stage 2; the upscaled latent is noised to the first. Source: as above.
STAGE_2_DISTILLED = (0.909375, 0.725, 0.421875, 0.0)

#: The token count of a schedule that must not depend on the size of the video.
CONSTANT_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class ShiftedByTokens:
    """A schedule that is known only when the size of the video is: ``shifted`` by its own token count."""

    num_steps: int
    last: int | None = later(None, since=2)  #: only so many of the steps, the last ones; None = all

    def at(self, num_tokens: int) -> tuple[float, ...]:
        """The noise levels of a video of ``num_tokens`` latent tokens."""
        sigmas = shifted(self.num_steps, num_tokens=num_tokens)
        return sigmas if self.last is None else sigmas[-1 - self.last :]


def shifted(
    num_steps: int,
    *,
    num_tokens: int = CONSTANT_TOKENS,
    base_shift: float = 0.95,
    max_shift: float = 2.05,
    terminal: float | None = 0.1,
) -> tuple[float, ...]:
    """The schedule of the undistilled checkpoints: even steps, shifted to more noise the more video tokens there are.

    ``num_tokens`` is latent frames * height * width; the default gives the constant form that the two-stage pipeline
    uses at every size. The shift is linear between 1024 and 4096 tokens and goes on beyond. The whole is stretched so
    that the last sigma before 0.0 is ``terminal``; None leaves it.

    Source: LTX2Scheduler, Lightricks/LTX-2@400fd31 ltx_core/components/schedulers.py.
    """
    _check_num_steps(num_steps, least=2 if terminal is not None else 1)
    mu = base_shift + (max_shift - base_shift) * (num_tokens - 1024) / (CONSTANT_TOKENS - 1024)
    uniform = (1.0 - step_idx / num_steps for step_idx in range(num_steps))
    sigmas = [math.exp(mu) / (math.exp(mu) + (1.0 / sigma - 1.0)) for sigma in uniform]
    if terminal is not None:
        stretch = (1.0 - terminal) / (1.0 - sigmas[-1])
        sigmas = [1.0 - (1.0 - sigma) * stretch for sigma in sigmas]
    return (*sigmas, 0.0)


def linear_quadratic(
    num_steps: int, *, threshold_noise: float = 0.025, num_linear: int | None = None
) -> tuple[float, ...]:
    """Steps of equal size down to 1 - ``threshold_noise``, then growing ones; half of them are linear by default.

    Source: LinearQuadraticScheduler, as above; first in genmo/mochi.
    """
    _check_num_steps(num_steps, least=1)
    if num_steps == 1:
        return (1.0, 0.0)
    linear = num_steps // 2 if num_linear is None else num_linear
    if not 1 <= linear <= num_steps:
        raise PlanError(f"sampling.num_linear: {linear} is not one of the {num_steps} steps; give 1 to {num_steps}")
    quadratic = num_steps - linear
    slope = threshold_noise / linear
    # The quadratic part starts where the linear one ends, with its slope, and reaches 1 after the last step.
    curve = (1.0 - threshold_noise - slope * quadratic) / quadratic**2 if quadratic else 0.0
    done = [slope * step_idx + curve * max(0, step_idx - linear) ** 2 for step_idx in range(num_steps)]
    return (*(1.0 - share for share in done), 0.0)


def manual(sigmas: tuple[float, ...], *, where: str) -> tuple[float, ...]:
    """``sigmas`` as given, when they are a schedule.

    Raises:
        PlanError: they do not fall from at most 1.0, each below the one before, to 0.0. ``where`` names their place.
    """
    if len(sigmas) < 2:
        raise PlanError(f"{where}: {list(sigmas)} is not a schedule; give at least two sigmas, the last 0.0")
    for sigma_idx, sigma in enumerate(sigmas):
        if not (math.isfinite(sigma) and 0.0 <= sigma <= 1.0):
            raise PlanError(f"{where}[{sigma_idx}]: {sigma} is not a noise level; sigmas lie between 0.0 and 1.0")
    for sigma_idx in range(1, len(sigmas)):
        if sigmas[sigma_idx] >= sigmas[sigma_idx - 1]:
            raise PlanError(
                f"{where}[{sigma_idx}]: {sigmas[sigma_idx]} does not fall; it must be below {sigmas[sigma_idx - 1]}"
            )
    if sigmas[-1] != 0.0:
        raise PlanError(f"{where}[{len(sigmas) - 1}]: {sigmas[-1]} is not the end of a descent; append 0.0")
    return sigmas


def _check_num_steps(num_steps: int, *, least: int) -> None:
    if num_steps < least:
        raise PlanError(f"sampling.num_steps: {num_steps} is too few; this schedule needs at least {least}")
