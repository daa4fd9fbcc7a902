"""Our arithmetic against diffusers' own, bit for bit where the order of operations allows it."""

from __future__ import annotations

import warnings
from fractions import Fraction
from itertools import pairwise

import pytest
import torch

from ltx_ray.sampling.conditioning import hold
from ltx_ray.sampling.guidance import guided
from ltx_ray.sampling.noise import draw, noised
from ltx_ray.sampling.positions import audio_positions, keyframe_positions, video_positions
from ltx_ray.sampling.samplers import Step, euler, euler_ancestral
from ltx_ray.sampling.state import AudioLayout, Tokens, VideoLayout, empty_state
from ltx_ray.spec.grid import AudioGrid, VideoGrid
from ltx_ray.spec.recipe import GuidanceScales
from ltx_ray.spec.sigmas import DISTILLED, STAGE_2_DISTILLED, shifted

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("diffusers")
    from diffusers import FlowMatchEulerDiscreteScheduler, LTX2ConditionPipeline, LTX2Pipeline
    from diffusers.models.transformers.transformer_ltx2 import LTX2AudioVideoRotaryPosEmbed
    from diffusers.pipelines.ltx2.pipeline_ltx2 import rescale_noise_cfg
    from diffusers.schedulers.scheduling_ltx_euler_ancestral_rf import LTXEulerAncestralRFScheduler

GRID = VideoGrid(8, 32, Fraction(2))
AUDIO = AudioGrid(Fraction(1, 100), 4, 16000)
RATES = [Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(50), Fraction(60000, 1001)]


@pytest.fixture(scope="module")
def video_rope():
    return LTX2AudioVideoRotaryPosEmbed(dim=64, modality="video", scale_factors=(8, 32, 32))


@pytest.fixture(scope="module")
def audio_rope():
    return LTX2AudioVideoRotaryPosEmbed(dim=64, modality="audio", scale_factors=[4])


@pytest.mark.parametrize("rate", RATES, ids=str)
@pytest.mark.parametrize("size", [(1, 1, 1), (7, 4, 6), (33, 17, 30)], ids=str)
def test_video_positions_are_those_of_diffusers(video_rope, rate, size):
    reference = video_rope.prepare_video_coords(1, *size, "cpu", fps=float(rate))
    assert torch.equal(video_positions(VideoLayout(*size, rate), GRID), reference)


@pytest.mark.parametrize("num_cells", [1, 2, 126, 503])
def test_audio_positions_from_0_are_those_of_diffusers(audio_rope, num_cells):
    reference = audio_rope.prepare_audio_coords(1, num_cells, "cpu")
    assert torch.equal(audio_positions(AudioLayout(0, num_cells, Fraction(0)), AUDIO), reference)


@pytest.mark.parametrize("rate", RATES, ids=str)
@pytest.mark.parametrize(("frame_idx", "num_latents"), [(1, 1), (9, 1), (113, 1), (9, 4)])
def test_key_frame_positions_are_those_of_diffusers_where_it_has_them(rate, frame_idx, num_latents):
    class Ratios:
        transformer_spatial_patch_size = transformer_temporal_patch_size = 1
        vae_temporal_compression_ratio, vae_spatial_compression_ratio = 8, 32

    num_frames = GRID.num_frames(num_latents)
    reference = LTX2ConditionPipeline._prepare_keyframe_coords(
        Ratios(), num_latents, 4, 6, frame_idx, num_frames, float(rate), "cpu"
    )
    layout = VideoLayout(20, 4, 6, rate)
    ours = keyframe_positions(layout, GRID, frame_idx=frame_idx, num_latents=num_latents)
    assert torch.equal(ours, reference)


def no_noise():
    raise AssertionError("euler drew noise")


@pytest.mark.parametrize("sigmas", [DISTILLED, STAGE_2_DISTILLED, shifted(30)], ids=["distilled", "stage 2", "dev"])
def test_euler_is_the_scheduler_of_diffusers_bit_for_bit(sigmas):
    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(sigmas=list(sigmas[:-1]))
    x, generator = draw(1, (1, 50, 128)), torch.Generator().manual_seed(2)
    ours = Tokens(x, x)
    for step_idx, pair in enumerate(pairwise(torch.tensor(sigmas).tolist())):
        velocity = torch.randn(x.shape, generator=generator)
        x0 = x - velocity * scheduler.sigmas[step_idx]
        velocity = (x - x0) / scheduler.sigmas[step_idx]
        x = scheduler.step(velocity, scheduler.timesteps[step_idx], x, return_dict=False)[0]
        step = Step(*pair, None, Tokens(torch.ones(1), torch.ones(1)), lambda x, sigma: x, no_noise)
        ours = euler(ours, Tokens(x0, x0), step)
        assert torch.equal(ours.video, x)


def test_ancestral_euler_is_the_scheduler_of_diffusers_bit_for_bit():
    scheduler = LTXEulerAncestralRFScheduler()
    scheduler.set_timesteps(sigmas=list(DISTILLED))
    x = draw(1, (1, 50, 128))
    ours = Tokens(x, x)
    for step_idx, pair in enumerate(pairwise(torch.tensor(DISTILLED).tolist())):
        x0, noise = draw(100 + step_idx, x.shape), draw(200 + step_idx, x.shape)
        generator = torch.Generator("cpu").manual_seed(200 + step_idx)
        velocity = (x - x0) / pair[0]
        x0 = x - velocity * scheduler.sigmas[step_idx]
        x = scheduler.step(velocity, scheduler.timesteps[step_idx], x, generator=generator, return_dict=False)[0]
        step = Step(*pair, None, lambda x: x, lambda x, sigma: x, lambda noise=noise: Tokens(noise, noise))
        ours = euler_ancestral(ours, Tokens(x0, x0), step)
        assert torch.equal(ours.audio, x)


@pytest.mark.parametrize("sigma", [1.0, 0.909375, 0.85])
def test_a_free_state_is_noised_as_diffusers_does_bit_for_bit(sigma):
    state = empty_state(VideoLayout(3, 4, 5, Fraction(24)), 128).with_latent(draw(3, (1, 60, 128)))
    reference = LTX2Pipeline._create_noised_state(state.latent, sigma, torch.Generator("cpu").manual_seed(4))
    assert torch.equal(noised(state, draw(4, state.latent.shape), sigma).latent, reference)


def test_tokens_beside_partly_held_ones_are_noised_as_in_the_condition_pipeline_bit_for_bit():
    """The lines of LTX2ConditionPipeline.prepare_latents, which cannot be called without a VAE.

    Partly held tokens begin as in the official code (``test_golden``), which diffusers follows at sigma 1 alone.
    """
    latent, tokens, noise = draw(3, (1, 60, 128)), draw(5, (1, 20, 128)), draw(4, (1, 60, 128))
    conditioning_mask = torch.zeros(1, 60, 1)
    conditioning_mask[:, :20] = 0.7
    overwritten = torch.cat([tokens, latent[:, 20:]], dim=1)
    state = empty_state(VideoLayout(3, 4, 5, Fraction(24)), 128).with_latent(latent)
    state = hold(state, tokens, strength=float(conditioning_mask[0, 0]))
    for sigma in (0.909375, 1.0):
        scaled_mask = (1.0 - conditioning_mask) * sigma
        reference = noise * scaled_mask + overwritten * (1 - scaled_mask)
        assert torch.equal(noised(state, noise, sigma).latent[:, 20:], reference[:, 20:])
    torch.testing.assert_close(noised(state, noise, 1.0).latent, reference, rtol=0, atol=1e-6)


def test_the_shifted_schedule_is_that_of_diffusers_with_the_token_count_held():
    scheduler = FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True,
        base_shift=0.95,
        max_shift=2.05,
        base_image_seq_len=1024,
        max_image_seq_len=4096,
        shift_terminal=0.1,
    )
    scheduler.set_timesteps(sigmas=[1.0 - step_idx / 30 for step_idx in range(30)], mu=2.05)
    torch.testing.assert_close(scheduler.sigmas, torch.tensor(shifted(30)), rtol=0, atol=2e-7)


def test_rescaled_guidance_is_that_of_diffusers_bit_for_bit():
    plain, negative, perturbed, isolated = (draw(seed, (1, 70, 128)) for seed in range(4))
    scales = GuidanceScales(cfg=3.0, stg=1.0, modality=3.0, rescale=0.7)
    pushed = plain + 2.0 * (plain - negative) + 1.0 * (plain - perturbed) + 2.0 * (plain - isolated)
    reference = rescale_noise_cfg(pushed, plain, guidance_rescale=0.7)
    assert torch.equal(guided(plain, scales, negative, perturbed, isolated), reference)
