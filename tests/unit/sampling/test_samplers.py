"""Samplers against solutions in closed form.

The model of a Gaussian with deviation s knows x0 = (1 - sigma) s**2 / var(sigma) x, var(sigma) = (1 - sigma)**2 s**2 +
sigma**2; its descent is linear and solved by x(sigma) = x(1) sqrt(var(sigma)).
"""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from ltx_ray.sampling.samplers import SAMPLERS, Past, Step, dpmpp_2m, euler, euler_ancestral, res_2s
from ltx_ray.sampling.state import Tokens

SPREADS = Tokens(torch.tensor(0.4, dtype=torch.float64), torch.tensor(1.7, dtype=torch.float64))


def var(sigma, spread):
    return ((1 - sigma) * spread) ** 2 + sigma**2


def predict(x, sigma):
    return Tokens(*(x_ * (1 - sigma) * spread**2 / var(sigma, spread) for x_, spread in zip(x, SPREADS, strict=True)))


def ones(value=1.0):
    return Tokens(torch.full((1, 1, 1), value, dtype=torch.float64), torch.full((1, 1, 1), value, dtype=torch.float64))


def no_noise():
    raise AssertionError("noise was drawn")


def step_of(sigma, sigma_next, *, past=None, hold=lambda x: x, predict=predict, noise=no_noise):
    return Step(sigma, sigma_next, past, hold, predict, noise)


def descend(sampler, sigmas):
    x, past = ones(), None
    for sigma, sigma_next in pairwise(sigmas):
        x0 = predict(x, sigma)
        x = sampler(x, x0, step_of(sigma, sigma_next, past=past))
        past = Past(sigma, x0)
    return x


def error(sampler, num_steps, modality):
    sigmas = [1.0 - 0.8 * (step_idx / num_steps) ** 1.3 for step_idx in range(num_steps + 1)]
    exact = [math.sqrt(var(sigmas[-1], float(spread))) for spread in SPREADS]
    return abs(float(descend(sampler, sigmas)[modality]) - exact[modality])


@pytest.mark.parametrize("modality", [0, 1], ids=["video", "audio"])
@pytest.mark.parametrize(("sampler", "order"), [(euler, 1), (dpmpp_2m, 2), (res_2s, 2)])
def test_the_error_falls_with_the_order_of_the_sampler(sampler, order, modality):
    errors = [error(sampler, num_steps, modality) for num_steps in (80, 160, 320)]
    measured = [math.log2(coarse / fine) for coarse, fine in pairwise(errors)]
    assert measured == pytest.approx([order, order], abs=0.12)


@pytest.mark.parametrize("name", sorted(set(SAMPLERS) - {"euler_ancestral"}))
def test_a_model_that_always_says_the_same_is_followed_exactly(name):
    x, x0 = ones(3.0), ones(0.5)
    step = step_of(0.9, 0.3, past=Past(1.0, x0), predict=lambda x, sigma: x0)
    for tokens in SAMPLERS[name](x, x0, step):
        assert float(tokens) == pytest.approx(0.5 + (3.0 - 0.5) * 0.3 / 0.9, abs=1e-14)


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_the_step_to_0_lands_on_x0_without_noise_or_another_evaluation(name):
    x0 = ones(0.5)
    step = step_of(0.42, 0.0, past=Past(0.7, ones(9.0)), predict=no_noise)
    for tokens in SAMPLERS[name](ones(3.0), x0, step):
        assert float(tokens) == pytest.approx(0.5, abs=1e-14)


def test_dpmpp_2m_begins_with_an_euler_step():
    x, x0, step = ones(3.0), ones(0.5), step_of(1.0, 0.9)
    torch.testing.assert_close(dpmpp_2m(x, x0, step), euler(x, x0, step))


def test_dpmpp_2m_then_aims_along_the_line_through_both_predictions():
    # Halving sigma twice: both steps are log 2 long, so r = 1 and the aim is 1.5 * now - 0.5 * before = 1.5.
    step = step_of(0.5, 0.25, past=Past(1.0, ones(1.0)))
    assert float(dpmpp_2m(ones(4.0), ones(4 / 3), step).video) == pytest.approx(0.5 * 4.0 + 0.5 * 1.5)


def test_dpmpp_2m_weighs_the_past_by_the_ratio_of_the_steps():
    # The last step was twice as long in log sigma: 1/(2r) = 1/4, the aim is 2 + (2 - 1) / 4.
    step = step_of(0.25, 0.125, past=Past(1.0, ones(1.0)))
    assert float(dpmpp_2m(ones(4.0), ones(2.0), step).audio) == pytest.approx(0.5 * 4.0 + 0.5 * 2.25)


def test_res_2s_looks_once_at_the_geometric_mean():
    looks = []

    def look(x, sigma):
        looks.append((float(x.video), sigma))
        return predict(x, sigma)

    res_2s(ones(2.0), ones(1.0), step_of(0.9, 0.4, predict=look))
    middle = math.sqrt(0.9 * 0.4)
    assert looks == [(pytest.approx(1.0 + middle / 0.9), pytest.approx(middle))]


def test_res_2s_has_the_coefficients_of_the_reference():
    # From get_res2s_coefficients of Lightricks/LTX-2@400fd31 for h = log(0.9 / 0.4), c2 = 0.5.
    h = math.log(0.9 / 0.4)
    phi_1, phi_2 = (math.exp(-h) - 1) / -h, (math.exp(-h) - 1 + h) / h**2
    b1, b2 = phi_1 - phi_2 / 0.5, phi_2 / 0.5
    step = step_of(0.9, 0.4, predict=lambda x, sigma: ones(5.0))
    assert float(res_2s(ones(2.0), ones(1.0), step).video) == pytest.approx(2.0 + h * (b1 * (1 - 2) + b2 * (5 - 2)))


def ancestral_share(*, x=0.0, x0=0.0, noise=0.0, hold=lambda x: x):
    step = step_of(0.8, 0.5, hold=hold, noise=lambda: ones(noise))
    return float(euler_ancestral(ones(x), ones(x0), step).audio)


def test_ancestral_euler_keeps_a_token_at_its_noise_level():
    """A token (1 - sigma) clean + sigma noise must come out as one at sigma_next."""
    clean = ancestral_share(x=1 - 0.8, x0=1.0)
    old, new = ancestral_share(x=0.8), ancestral_share(noise=1.0)
    assert clean == pytest.approx(1 - 0.5)
    assert math.hypot(old, new) == pytest.approx(0.5)


def test_what_ancestral_euler_has_noised_is_drawn_to_what_holds_it():
    def halfway_to_3(x):
        return Tokens(*((each + 3.0) / 2 for each in x))

    noised = ancestral_share(x=0.7, x0=0.2, noise=1.5)
    assert ancestral_share(x=0.7, x0=0.2, noise=1.5, hold=halfway_to_3) == pytest.approx((noised + 3.0) / 2)


def test_ancestral_euler_draws_as_much_new_noise_as_the_reference():
    # EulerAncestralDiffusionStep with eta 1: sigma_down = 0.5**2 / 0.8, alpha_down = 1 - sigma_down.
    sigma_down = 0.5 * (1 + (0.5 / 0.8 - 1))
    new = math.sqrt(0.5**2 - sigma_down**2 * 0.5**2 / (1 - sigma_down) ** 2)
    assert ancestral_share(noise=1.0) == pytest.approx(new)
