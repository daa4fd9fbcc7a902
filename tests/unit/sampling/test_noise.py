"""Noise means the same everywhere, and the start of a descent holds what is held."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ltx_ray.sampling.conditioning import hold
from ltx_ray.sampling.noise import draw, noised, step_noise
from ltx_ray.sampling.state import Tokens


def test_a_seed_always_means_the_same_float32_values():
    noise = draw(7, (1, 4, 16))
    assert noise.dtype == torch.float32
    assert noise.device.type == "cpu"
    assert torch.equal(noise, draw(7, [1, 4, 16]))
    assert noise[0, 0, :3].tolist() == pytest.approx([-0.820135, 0.395631, 0.898910], abs=2e-6)


def test_drawing_does_not_touch_the_global_generator():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    draw(7, (1, 4, 16))
    assert torch.equal(torch.get_rng_state(), before)


def test_tokens_appended_at_the_end_leave_the_noise_of_the_first_ones_unchanged():
    assert torch.equal(draw(5, (1, 37, 16)), draw(5, (1, 90, 16))[:, :37])


def test_a_descent_from_sigma_1_starts_from_the_noise_itself(video):
    noise = draw(1, video.latent.shape)
    start = noised(video.with_latent(torch.full_like(video.latent, 3.0)), noise, 1.0)
    assert torch.equal(start.latent, noise)


def test_free_tokens_start_between_latent_and_noise(video):
    noise = draw(1, video.latent.shape)
    start = noised(video.with_latent(torch.full_like(video.latent, 3.0)), noise, 0.75)
    torch.testing.assert_close(start.latent, 0.25 * 3.0 + 0.75 * noise)


def test_pinned_tokens_start_clean_bit_for_bit_whatever_the_noise(video):
    tokens = draw(2, (1, 8, 16))
    noise = draw(1, video.latent.shape)
    noise[:, :8] = torch.nan
    start = noised(hold(video, tokens), noise, 0.909375)
    assert torch.equal(start.latent[:, :8], tokens)
    torch.testing.assert_close(start.latent[:, 8:], 0.909375 * noise[:, 8:])


@pytest.mark.parametrize("strength", [0.25, 0.5, 0.9])
def test_a_partly_held_token_starts_between_what_holds_it_and_where_it_would_start(video, strength):
    tokens, before = draw(2, (1, 8, 16)), draw(3, video.latent.shape)
    noise = draw(1, video.latent.shape)
    start = noised(hold(video.with_latent(before), tokens, strength=strength), noise, 0.8)
    free = 0.8 * noise[:, :8] + 0.2 * before[:, :8]
    torch.testing.assert_close(start.latent[:, :8], strength * tokens + (1 - strength) * free)
    torch.testing.assert_close(start.latent[:, 8:], noised(video.with_latent(before), noise, 0.8).latent[:, 8:])


def test_step_noise_is_new_at_every_call_and_apart_for_each_modality():
    like = Tokens(torch.zeros(1, 6, 16), torch.zeros(1, 6, 16))
    fresh = step_noise(3, like)
    drawn = [tokens for _ in range(3) for tokens in fresh()]
    assert len({tuple(tokens.flatten().tolist()) for tokens in drawn}) == 6


def test_step_noise_of_one_modality_does_not_depend_on_the_size_of_the_other():
    short = Tokens(torch.zeros(1, 6, 16), torch.zeros(1, 6, 16))
    long = Tokens(torch.zeros(1, 60, 16), torch.zeros(1, 6, 16))
    one, other = step_noise(3, short), step_noise(3, long)
    for _ in range(3):
        assert torch.equal(one().audio, other().audio)


def test_step_noise_never_repeats_the_noise_of_the_start():
    like = Tokens(torch.zeros(1, 6, 16), torch.zeros(1, 6, 16))
    assert not torch.equal(step_noise(3, like)().video, draw(3, (1, 6, 16)))


def test_noising_leaves_the_given_state_alone(video):
    state = replace(video, latent=torch.ones_like(video.latent))
    noised(hold(state, draw(2, (1, 8, 16)), strength=0.5), draw(1, video.latent.shape), 0.5)
    assert torch.equal(state.latent, torch.ones_like(video.latent))
