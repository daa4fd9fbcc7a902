"""Schedules against the published values and against a float64 transcription of the reference's formulas."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from ltx_ray.errors import PlanError
from ltx_ray.spec.sigmas import DISTILLED, STAGE_2_DISTILLED, ShiftedByTokens, linear_quadratic, manual, shifted

FORTY_HEAD, FORTY_TAIL = [1, 0.9964, 0.9927, 0.9889], [0.4884, 0.4207, 0.3378, 0.2339, 0.1, 0]
THIRTY_HEAD, THIRTY_TAIL = [1, 0.995, 0.9896, 0.9839], [0.5531, 0.4802, 0.3875, 0.2661, 0.1, 0]
FIFTEEN_HEAD, FIFTEEN_TAIL = [1, 0.9872, 0.9728, 0.9564], [0.7135, 0.6341, 0.5243, 0.3625, 0.1, 0]
HQ = [1, 0.9935, 0.986, 0.9773, 0.9672, 0.955, 0.9403, 0.9221, 0.8991, 0.8689, 0.8277, 0.768, 0.6739, 0.5034, 0.1, 0]


def test_the_distilled_tables_are_those_of_the_checkpoints():
    assert DISTILLED == (1.0, 0.99375, 0.9875, 0.98125, 0.975, 0.909375, 0.725, 0.421875, 0.0)
    assert DISTILLED[5:] == STAGE_2_DISTILLED


@pytest.mark.parametrize(
    ("num_steps", "head", "tail"),
    [(40, FORTY_HEAD, FORTY_TAIL), (30, THIRTY_HEAD, THIRTY_TAIL), (15, FIFTEEN_HEAD, FIFTEEN_TAIL)],
)
def test_the_constant_token_schedule_is_the_published_one(num_steps, head, tail):
    sigmas = shifted(num_steps)
    assert len(sigmas) == num_steps + 1
    assert sigmas[:4] == pytest.approx(head, abs=5e-5)
    assert sigmas[-6:] == pytest.approx(tail, abs=5e-5)


def test_the_schedule_of_a_544_x_960_video_of_121_frames_is_the_published_one():
    assert shifted(15, num_tokens=16 * 17 * 30) == pytest.approx(HQ, abs=5e-5)


def test_the_last_sigma_before_0_is_the_terminal_exactly_when_stretched():
    assert shifted(20, num_tokens=6144, terminal=0.25)[-2] == pytest.approx(0.25, abs=1e-15)


def test_without_a_terminal_the_shift_alone_remains():
    sigmas = shifted(4, num_tokens=1024, terminal=None)
    assert sigmas[2] == pytest.approx(math.exp(0.95) / (math.exp(0.95) + 1))
    assert sigmas[0] == 1.0
    assert sigmas[-1] == 0.0


def test_the_shift_goes_on_beyond_4096_tokens():
    assert shifted(15, num_tokens=8160)[7] > shifted(15, num_tokens=4096)[7] > shifted(15, num_tokens=1024)[7]


def reference_linear_quadratic(steps, threshold, linear):
    """LinearQuadraticScheduler.execute, Lightricks/LTX-2@400fd31, in float64."""
    schedule = [i * threshold / linear for i in range(linear)]
    diff, quadratic = linear - threshold * steps, steps - linear
    if quadratic > 0:
        a = diff / (linear * quadratic**2)
        b = threshold / linear - 2 * diff / quadratic**2
        schedule += [a * i**2 + b * i + a * linear**2 for i in range(linear, steps)]
    return [1.0 - x for x in [*schedule, 1.0]]


@pytest.mark.parametrize(("steps", "linear"), [(2, None), (3, None), (8, None), (41, None), (8, 1), (8, 3), (8, 8)])
@pytest.mark.parametrize("threshold", [0.025, 0.1])
def test_linear_quadratic_is_the_reference(steps, linear, threshold):
    sigmas = linear_quadratic(steps, threshold_noise=threshold, num_linear=linear)
    assert sigmas == pytest.approx(reference_linear_quadratic(steps, threshold, linear or steps // 2), abs=1e-14)


def test_linear_quadratic_of_one_step_is_one_leap():
    assert linear_quadratic(1) == (1.0, 0.0)


@pytest.mark.parametrize("sigmas", [DISTILLED, shifted(2), shifted(40), linear_quadratic(20), (1.0, 0.0)])
def test_every_schedule_falls_to_0_and_is_accepted_as_a_manual_one(sigmas):
    assert all(sigma > sigma_next for sigma, sigma_next in pairwise(sigmas))
    assert manual(sigmas, where="sampling.sigmas") == sigmas


@pytest.mark.parametrize(
    ("sigmas", "says"),
    [
        ((), r"x: \[\] is not a schedule; give at least two sigmas, the last 0.0"),
        ((0.0,), r"x: \[0.0\] is not a schedule"),
        ((1.0, 0.5), r"x\[1\]: 0.5 is not the end of a descent; append 0.0"),
        ((1.0, 0.5, 0.5, 0.0), r"x\[2\]: 0.5 does not fall; it must be below 0.5"),
        ((0.5, 0.7, 0.0), r"x\[1\]: 0.7 does not fall; it must be below 0.5"),
        ((1.5, 0.0), r"x\[0\]: 1.5 is not a noise level; sigmas lie between 0.0 and 1.0"),
        ((1.0, -0.1), r"x\[1\]: -0.1 is not a noise level"),
        ((1.0, math.nan, 0.0), r"x\[1\]: nan is not a noise level"),
        ((math.inf, 0.0), r"x\[0\]: inf is not a noise level"),
    ],
)
def test_a_manual_list_that_is_no_schedule_is_refused_naming_the_place(sigmas, says):
    with pytest.raises(PlanError, match=says):
        manual(sigmas, where="x")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: shifted(1), "1 is too few; this schedule needs at least 2"),
        (lambda: shifted(0, terminal=None), "0 is too few; this schedule needs at least 1"),
        (lambda: linear_quadratic(0), "0 is too few"),
        (lambda: linear_quadratic(8, num_linear=9), "9 is not one of the 8 steps; give 1 to 8"),
        (lambda: linear_quadratic(8, num_linear=0), "0 is not one of the 8 steps"),
    ],
)
def test_a_schedule_of_too_few_steps_is_refused(make, says):
    with pytest.raises(PlanError, match=says):
        make()


def test_the_last_steps_of_a_schedule_by_tokens_are_those_of_the_whole():
    whole = shifted(8, num_tokens=1500)
    assert ShiftedByTokens(8, last=4).at(1500) == whole[4:]
    assert ShiftedByTokens(8).at(1500) == whole
