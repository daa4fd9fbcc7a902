"""The loop: what is pinned stays pinned, what is partly held keeps its level, and it reports and stops per step."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
import torch

from ltx_ray.errors import Cancelled, ModelError, PlanError
from ltx_ray.sampling.conditioning import append, freeze, hold
from ltx_ray.sampling.denoise import denoise
from ltx_ray.sampling.noise import draw, noised
from ltx_ray.sampling.samplers import SAMPLERS
from ltx_ray.sampling.state import AudioLayout, empty_state
from ltx_ray.spec.recipe import Guidance, GuidanceScales, SamplingRecipe

SIGMAS = (1.0, 0.975, 0.909375, 0.725, 0.421875, 0.0)


def begin(state, sigma=SIGMAS[0], seed=1):
    return noised(state, draw(seed, state.latent.shape), sigma)


def descend(denoiser, video, audio, control, *, sampler="euler", sigmas=SIGMAS, **more):
    recipe = SamplingRecipe(sampler=sampler, sigmas=sigmas)
    return denoise(denoiser, video, audio, sampling=recipe, text={}, control=control, noise_seed=5, **more)


def nan_where_held(state, velocity):
    velocity.masked_fill_(state.denoise_mask < 1.0, torch.nan)


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_pinned_tokens_leave_every_sampler_bit_identical_whatever_the_model_says_there(
    name, video, audio, knower, steps
):
    picture, sound = draw(8, (1, 8, 16)), draw(9, (1, 4, 32))
    video, audio = begin(hold(video, picture)), begin(hold(audio, sound))
    model = knower(spoil=nan_where_held)
    made_video, made_audio = descend(model, video, audio, steps(), sampler=name)
    assert torch.equal(made_video.latent[:, :8], picture)
    assert torch.equal(made_audio.latent[:, :4], sound)
    torch.testing.assert_close(made_video.latent[:, 8:], torch.full((1, 16, 16), 2.0))
    torch.testing.assert_close(made_audio.latent[:, 4:], torch.full((1, 6, 32), -1.0))


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_the_model_sees_pinned_tokens_clean_at_every_evaluation(name, video, audio, knower, steps):
    picture = draw(8, (1, 8, 16)) * 1e4
    model = knower(spoil=nan_where_held)
    descend(model, hold(video, picture), begin(audio), steps(), sampler=name)
    assert all(torch.equal(shown.latent[:, :8], picture) for shown, _, _ in model.shown)


def test_a_frozen_modality_comes_out_as_it_went_in_while_the_other_is_made(video, audio, knower, steps):
    sound = draw(9, audio.latent.shape)
    model = knower(spoil=nan_where_held)
    made_video, made_audio = descend(model, begin(video), freeze(audio, sound), steps(), sampler="euler_ancestral")
    assert torch.equal(made_audio.latent, sound)
    torch.testing.assert_close(made_video.latent, torch.full_like(made_video.latent, 2.0))


@pytest.mark.parametrize("name", ["euler", "dpmpp_2m", "res_2s"])
def test_a_partly_held_token_stays_at_its_own_level_all_the_way(name, video, audio, knower, steps):
    tokens, noise = torch.full((1, 8, 16), 2.0), draw(1, video.latent.shape)
    model = knower(video_x0=2.0)
    descend(model, noised(hold(video, tokens, strength=0.4), noise, 1.0), begin(audio), steps(), sampler=name)
    for shown, _, sigma in model.shown:
        level = 0.6 * sigma
        torch.testing.assert_close(shown.latent[:, :8], (1 - level) * tokens + level * noise[:, :8], atol=2e-6, rtol=0)


def test_a_partly_held_token_is_drawn_to_clean_by_its_strength(video, audio, knower, steps):
    video = begin(hold(video, torch.full((1, 8, 16), 7.0), strength=0.25))
    made, _ = descend(knower(video_x0=3.0), video, begin(audio), steps(), sigmas=(1.0, 0.0))
    torch.testing.assert_close(made.latent[:, :8], torch.full((1, 8, 16), 0.75 * 3.0 + 0.25 * 7.0))


def test_the_start_is_pinned_even_if_the_caller_forgot_to_noise(video, audio, knower, steps):
    model = knower()
    descend(model, hold(video, torch.ones(1, 8, 16)), begin(audio), steps())
    assert torch.equal(model.shown[0][0].latent[:, :8], torch.ones(1, 8, 16))


@pytest.mark.parametrize(
    ("name", "evaluations"), [("euler", 5), ("euler_ancestral", 5), ("dpmpp_2m", 5), ("res_2s", 9)]
)
def test_every_sampler_asks_the_model_as_often_as_it_says(name, evaluations, video, audio, knower, steps):
    model = knower()
    descend(model, begin(video), begin(audio), steps(), sampler=name)
    assert len(model.shown) == evaluations


def test_the_model_is_told_the_sigmas_of_the_recipe_as_float32(video, audio, knower, steps):
    model = knower()
    descend(model, begin(video), begin(audio), steps())
    assert [sigma for _, _, sigma in model.shown] == torch.tensor(SIGMAS[:-1], dtype=torch.float32).tolist()


def test_every_step_is_reported_before_it_begins(video, audio, knower, steps):
    control = steps()
    descend(knower(), begin(video), begin(audio), control, sampler="res_2s")
    assert control.seen == [(step_idx, 5) for step_idx in range(5)]


def test_a_descent_that_is_asked_to_stop_asks_the_model_no_more(video, audio, knower, steps):
    model = knower()
    with pytest.raises(Cancelled):
        descend(model, begin(video), begin(audio), steps(stop_at=2))
    assert len(model.shown) == 2


def test_a_stochastic_descent_repeats_from_its_noise_seed_alone(video, audio, knower, steps):
    def end(seed):
        recipe = SamplingRecipe(sampler="euler_ancestral", sigmas=SIGMAS)
        model = knower()
        starts = begin(video), begin(audio)
        denoise(model, *starts, sampling=recipe, text={}, control=steps(), noise_seed=seed)
        return model.shown[-1][0].latent

    assert torch.equal(end(1), end(1))
    assert not torch.equal(end(1), end(2))


def test_the_sound_of_a_stochastic_descent_does_not_depend_on_the_size_of_the_picture(video, audio, knower, steps):
    small, large = knower(), knower()
    descend(small, begin(video), begin(audio), steps(), sampler="euler_ancestral")
    guided = append(video, torch.ones(1, 5, 16), torch.zeros(1, 3, 5, 2))
    descend(large, begin(guided), begin(audio), steps(), sampler="euler_ancestral")
    assert torch.equal(small.shown[-1][1].latent, large.shown[-1][1].latent)
    assert torch.equal(small.shown[-1][0].latent, large.shown[-1][0].latent[:, :24])


def test_guides_are_shown_to_the_model_and_gone_from_the_result(video, audio, knower, steps):
    guide = draw(3, (1, 5, 16))
    model = knower(spoil=nan_where_held)
    sound_guide = append(audio, draw(4, (1, 7, 32)), torch.zeros(1, 1, 7, 2))
    picture = begin(append(video, guide, torch.zeros(1, 3, 5, 2)))
    made, made_audio = descend(model, picture, begin(sound_guide), steps())
    assert all(torch.equal(shown.latent[:, 24:], guide) for shown, _, _ in model.shown)
    assert made_audio.latent.shape == audio.latent.shape
    assert made.latent.shape == video.latent.shape
    assert made.denoise_mask.shape[1] == video.denoise_mask.shape[1]
    assert made.appended_positions is None


def test_the_descent_is_one_of_both_modalities_each_seeing_the_other_at_the_same_sigma(video, audio, knower, steps):
    model = knower()
    start = begin(video), begin(audio)
    descend(model, *start, steps())
    for (_, before, sigma), (_, after, sigma_next) in pairwise(model.shown):
        torch.testing.assert_close(after.latent, -1.0 + (before.latent + 1.0) * sigma_next / sigma)


def test_an_unknown_sampler_is_refused_by_name_with_the_known_ones(video, audio, knower, steps):
    with pytest.raises(PlanError, match=r"'heun' is not known; the samplers are dpmpp_2m, euler, euler_ancestral"):
        descend(knower(), video, audio, steps(), sampler="heun")


def test_a_stochastic_sampler_without_a_noise_seed_is_our_bug(video, audio, knower, steps):
    recipe = SamplingRecipe(sampler="euler_ancestral", sigmas=SIGMAS)
    with pytest.raises(AssertionError, match="noise_seed"):
        denoise(knower(), begin(video), begin(audio), sampling=recipe, text={}, control=steps())


def test_no_gradient_is_kept(video, audio, steps):
    class Learner:
        weight = torch.ones(1, requires_grad=True)

        def velocity(self, video, audio, sigma, text):
            return video.latent * self.weight, audio.latent * self.weight

    made, _ = descend(Learner(), begin(video), begin(audio), steps())
    assert not made.latent.requires_grad


def test_guidance_pushes_the_descent_away_from_the_negative_prompt(video, steps):
    class Obeyer:
        """Makes of every token what its prompt says."""

        def velocity(self, video, audio, sigma, text):
            want = text["value"][:, None, None]
            return (video.latent - want) / sigma, (audio.latent - want) / sigma

    audio = empty_state(AudioLayout(0, 4, Fraction(0)), 32)
    made_video, made_audio = denoise(
        Obeyer(),
        begin(video),
        begin(audio),
        sampling=SamplingRecipe(sampler="dpmpp_2m", sigmas=SIGMAS),
        text={"value": torch.tensor([2.0])},
        negative_text={"value": torch.tensor([1.0])},
        guidance=Guidance(video=GuidanceScales(cfg=3.0)),
        control=steps(),
    )
    torch.testing.assert_close(made_video.latent, torch.full_like(made_video.latent, 4.0))
    torch.testing.assert_close(made_audio.latent, torch.full_like(made_audio.latent, 2.0))


def test_guidance_that_rescales_is_not_spoiled_by_what_the_model_says_of_pinned_tokens(video, audio, knower, steps):
    class Negator(knower):
        def velocity(self, video, audio, sigma, text):
            velocities = super().velocity(video, audio, sigma, text)
            return tuple(tokens * torch.tensor([1.1, 1.0])[:, None, None] for tokens in velocities)

    picture = draw(8, (1, 8, 16))
    guidance = Guidance(video=GuidanceScales(cfg=2.0, rescale=0.7))
    model = Negator(spoil=nan_where_held)
    started = begin(hold(video, picture)), begin(audio)
    made, _ = descend(model, *started, steps(), guidance=guidance, negative_text={})
    assert torch.equal(made.latent[:, :8], picture)
    assert bool(made.latent.isfinite().all())


def test_a_frozen_silence_is_shown_as_it_is_though_rescaling_divides_by_its_deviation(video, audio, knower, steps):
    guidance = Guidance(audio=GuidanceScales(cfg=7.0, rescale=0.7))
    silence = torch.zeros_like(audio.latent)
    model = knower()
    starts = begin(video), freeze(audio, silence)
    _, made = descend(model, *starts, steps(), sampler="res_2s", guidance=guidance, negative_text={})
    assert torch.equal(made.latent, silence)
    assert not any(shown.latent.any() for _, shown, _ in model.shown)


def test_a_model_that_cannot_run_impaired_is_refused_before_any_work(video, audio, knower, steps):
    model = knower()
    with pytest.raises(ModelError, match=r"set stg to 0\.0 and modality to 1\.0"):
        descend(model, video, audio, steps(), guidance=Guidance(audio=GuidanceScales(modality=3.0)))
    assert model.shown == []
