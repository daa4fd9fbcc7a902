"""Everything that can be known beforehand, said as a latent state, against the pipelines that have an argument for it.

For a token that is held the pipelines take the noise level of the whole, upstream and we take the token's own. Parity
is possible for strengths 0 and 1 only, where the difference is written over. When guidance is rescaled, which measures
the spread of all tokens before anything is written over the pinned ones, the pipeline is told each token's own level.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from ltx_ray.sampling.conditioning import add_keyframe, add_reference, freeze, hold
from ltx_ray.sampling.noise import draw
from ltx_ray.sampling.state import AudioLayout, empty_state, pack_video
from ltx_ray.spec.recipe import Guidance, GuidanceScales
from ltx_ray.spec.sigmas import STAGE_2_DISTILLED
from tests.parity.pipelines import (
    AUDIO_SEED,
    FINAL_LAYOUT,
    FINAL_PX,
    NUM_CELLS,
    PROMPT,
    UNGUIDED,
    VIDEO_SEED,
    GivenText,
    LTX2ConditionPipeline,
    LTX2InContextPipeline,
    LTX2Pipeline,
    descend,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from diffusers import FlowMatchEulerDiscreteScheduler
    from diffusers.pipelines.ltx2.pipeline_ltx2_condition import LTX2VideoCondition
    from diffusers.pipelines.ltx2.pipeline_ltx2_ic_lora import LTX2ReferenceCondition

SIGMAS = (1.0, 0.9, 0.5, 0.0)
GUIDED = Guidance(
    video=GuidanceScales(cfg=3.0, stg=1.0, modality=3.0),
    audio=GuidanceScales(cfg=7.0, stg=1.0, modality=3.0),
    stg_blocks=(1,),
)
GUIDED_ARGUMENTS = {
    "guidance_scale": 3.0,
    "stg_scale": 1.0,
    "modality_scale": 3.0,
    "guidance_rescale": 0.0,
    "audio_guidance_scale": 7.0,
    "audio_stg_scale": 1.0,
    "audio_modality_scale": 3.0,
    "audio_guidance_rescale": 0.0,
    "spatio_temporal_guidance_blocks": [1],
}


def film(num_frames, size_px=FINAL_PX, *, seed=5):
    """Frames uint8 [F, H, W, 3] whose latents differ from place to place."""
    return np.random.default_rng(seed).integers(0, 256, (num_frames, size_px[1], size_px[0], 3), dtype=np.uint8)


def encoded(model, pixels_NHWC):
    """The normalised latent of float pixels in [-1, 1], by the VAE in one piece, as the pipelines make it."""
    vae = model.parts.vae
    with torch.no_grad():
        raw = vae.encode(pixels_NHWC.permute(3, 0, 1, 2)[None]).latent_dist.mode()
    return LTX2Pipeline._normalize_latents(raw, vae.latents_mean, vae.latents_std)


def from_bytes(frames):
    return torch.from_numpy(frames).float() / 127.5 - 1.0


@pytest.fixture
def video(model):
    return empty_state(FINAL_LAYOUT, model.facts.video_channels)


@pytest.fixture
def audio(model):
    return empty_state(AudioLayout(0, NUM_CELLS, Fraction(0)), model.facts.audio_channels)


def ours(model, text, video, audio, *, sigmas=SIGMAS, guidance=None, negative=None):
    return descend(model, (video, audio), sigmas=sigmas, text=text, guidance=guidance, negative=negative)


def theirs(reference, cls, video, audio, *, sigmas=SIGMAS, components=None, **arguments):
    """Video and audio as the pipelines put them out; ``video`` and ``audio`` are ours, for their shapes."""
    noises = [draw(VIDEO_SEED, video.latent.shape), draw(AUDIO_SEED, audio.latent.shape)]
    return reference.run(
        reference.pipeline(cls, **(components or {})),
        noise=noises,
        size_px=FINAL_PX,
        sigmas=list(sigmas[:-1]),
        num_inference_steps=len(sigmas) - 1,
        **{"prompt": PROMPT, **arguments},
    )


def assert_equal(reference, found, wanted):
    assert torch.equal(reference.raw_video(found[0]), wanted[0])
    assert torch.equal(reference.raw_audio(found[1]), wanted[1])


@pytest.mark.parametrize("num_frames", [1, 9], ids=["image", "connector"])
def test_frames_pinned_at_the_start_are_the_condition_pipeline_bit_for_bit(
    model, reference, text, video, audio, num_frames
):
    frames = film(num_frames)
    pinned = hold(video, pack_video(encoded(model, from_bytes(frames))))
    wanted = theirs(
        reference, LTX2ConditionPipeline, pinned, audio, conditions=LTX2VideoCondition(frames, 0, 1.0, crf=0)
    )
    found = ours(model, text, pinned, audio)
    assert_equal(reference, found, wanted)
    assert torch.equal(found[0][:, :, : (num_frames - 1) // 8 + 1], encoded(model, from_bytes(frames)))


def test_a_pinned_image_in_stage_2_is_the_condition_pipeline_bit_for_bit(model, reference, text, video, audio):
    """The audio latent takes the detour over its statistics that the pipeline makes, see ``test_pipeline_generate``."""
    frames = film(1)
    start = draw(20, (1, model.facts.video_channels, 3, 4, 6))
    sound = reference.raw_audio(draw(21, audio.latent.shape))
    wanted = theirs(
        reference,
        LTX2ConditionPipeline,
        video,
        audio,
        sigmas=STAGE_2_DISTILLED,
        conditions=LTX2VideoCondition(frames, 0, 1.0, crf=0),
        latents=reference.raw_video(start),
        audio_latents=sound,
    )
    vae = model.parts.vae
    start = LTX2Pipeline._normalize_latents(reference.raw_video(start), vae.latents_mean, vae.latents_std)
    pinned = hold(video.with_latent(pack_video(start)), pack_video(encoded(model, from_bytes(frames))))
    sounding = audio.with_latent(reference.normalised_audio(sound))
    assert_equal(reference, ours(model, text, pinned, sounding, sigmas=STAGE_2_DISTILLED), wanted)


def test_a_pinned_image_under_every_guidance_is_the_condition_pipeline_bit_for_bit(
    model, reference, text, video, audio
):
    frames, negative = film(1), model.text_encoder().encode("blurry")
    pinned = hold(video, pack_video(encoded(model, from_bytes(frames))))
    embeds, mask = torch.zeros(1, 1, 1), torch.ones(1, 1, dtype=torch.int64)
    wanted = theirs(
        reference,
        LTX2ConditionPipeline,
        pinned,
        audio,
        components={"connectors": GivenText(negative, text)},
        conditions=LTX2VideoCondition(frames, 0, 1.0, crf=0),
        prompt=None,
        prompt_embeds=embeds,
        prompt_attention_mask=mask,
        negative_prompt_embeds=embeds,
        negative_prompt_attention_mask=mask,
        **GUIDED_ARGUMENTS,
    )
    assert_equal(reference, ours(model, text, pinned, audio, guidance=GUIDED, negative=negative), wanted)


class OwnLevelPipeline(LTX2ConditionPipeline):
    """The condition pipeline with the noise level of each token where a velocity becomes x0, as upstream has it."""

    def prepare_latents(self, *args, **kwargs):
        latents, mask, clean, coords = super().prepare_latents(*args, **kwargs)
        self.free = 1.0 - mask
        return latents, mask, clean, coords

    def convert_velocity_to_x0(self, sample, denoised_output, step_idx, scheduler=None):
        if scheduler is self.scheduler:
            return sample - denoised_output * (self.free * scheduler.sigmas[step_idx])
        return super().convert_velocity_to_x0(sample, denoised_output, step_idx, scheduler)


def test_a_pinned_image_under_rescaled_guidance_is_the_condition_pipeline_with_a_level_per_token_bit_for_bit(
    model, reference, text, video, audio
):
    frames, negative = film(1), model.text_encoder().encode("blurry")
    pinned = hold(video, pack_video(encoded(model, from_bytes(frames))))
    embeds, mask = torch.zeros(1, 1, 1), torch.ones(1, 1, dtype=torch.int64)
    wanted = theirs(
        reference,
        OwnLevelPipeline,
        pinned,
        audio,
        components={"connectors": GivenText(negative, text)},
        conditions=LTX2VideoCondition(frames, 0, 1.0, crf=0),
        prompt=None,
        prompt_embeds=embeds,
        prompt_attention_mask=mask,
        negative_prompt_embeds=embeds,
        negative_prompt_attention_mask=mask,
        **{**GUIDED_ARGUMENTS, "guidance_rescale": 0.7, "audio_guidance_rescale": 0.7},
    )
    rescaled = Guidance(
        video=replace(GUIDED.video, rescale=0.7), audio=replace(GUIDED.audio, rescale=0.7), stg_blocks=GUIDED.stg_blocks
    )
    assert_equal(reference, ours(model, text, pinned, audio, guidance=rescaled, negative=negative), wanted)


@pytest.mark.parametrize("num_frames", [1, 9], ids=["still", "film"])
def test_a_key_frame_is_the_condition_pipeline_bit_for_bit(model, reference, text, video, audio, num_frames):
    """It counts in latents: its index 1 is pixel frame 1."""
    frames = film(num_frames)
    guided = add_keyframe(video, encoded(model, from_bytes(frames)), 1, grid=model.facts.video)
    wanted = theirs(
        reference, LTX2ConditionPipeline, guided, audio, conditions=LTX2VideoCondition(frames, 1, 1.0, crf=0)
    )
    assert_equal(reference, ours(model, text, guided, audio), wanted)


@pytest.mark.parametrize("downscale", [1, 2])
def test_reference_tokens_are_the_in_context_pipeline_bit_for_bit(model, reference, text, video, audio, downscale):
    frames = film(17, (FINAL_PX[0] // downscale, FINAL_PX[1] // downscale)).astype(np.float32) / 255.0
    latent = encoded(model, torch.from_numpy(frames) * 2.0 - 1.0)
    guided = add_reference(video, latent, grid=model.facts.video, downscale=downscale)
    wanted = theirs(
        reference,
        LTX2InContextPipeline,
        guided,
        audio,
        reference_conditions=[LTX2ReferenceCondition(frames=frames, strength=1.0)],
        reference_downscale_factor=downscale,
    )
    assert_equal(reference, ours(model, text, guided, audio), wanted)


class FrozenScheduler(FlowMatchEulerDiscreteScheduler):
    """Noise level 0 at every step: the audio that is given never moves."""

    def set_timesteps(self, num_inference_steps=None, device=None, sigmas=None, mu=None, timesteps=None):
        super().set_timesteps(num_inference_steps, device, sigmas=sigmas, mu=mu, timesteps=timesteps)
        self.timesteps = torch.zeros_like(self.timesteps)
        self.sigmas = torch.zeros_like(self.sigmas)

    def step(self, model_output, timestep, sample, *args, **kwargs):
        return (sample,)


class FrozenAudioPipeline(LTX2ConditionPipeline):
    """The condition pipeline with given audio, which it has no argument for."""

    def prepare_audio_latents(self, *args, latents=None, noise_scale=0.0, **kwargs):
        return super().prepare_audio_latents(*args, latents=latents, noise_scale=0.0, **kwargs)


@pytest.mark.parametrize("guided", [False, True], ids=["plain", "guided"])
def test_frozen_audio_is_the_condition_pipeline_with_a_frozen_scheduler_bit_for_bit(
    model, reference, text, video, audio, guided
):
    """With an image too: without one the pipeline still gives every token its noise level, which rounds otherwise."""
    frames, sound = film(1), reference.raw_audio(draw(30, audio.latent.shape))
    given = reference.normalised_audio(sound)
    pinned = hold(video, pack_video(encoded(model, from_bytes(frames))))
    negative = model.text_encoder().encode("blurry")
    texts = (negative, text) if guided else (text,)
    embeds, mask = torch.zeros(1, 1, 1), torch.ones(1, 1, dtype=torch.int64)
    wanted = theirs(
        reference,
        FrozenAudioPipeline,
        pinned,
        audio,
        components={"connectors": GivenText(*texts), "audio_scheduler": FrozenScheduler()},
        conditions=LTX2VideoCondition(frames, 0, 1.0, crf=0),
        audio_latents=sound,
        prompt=None,
        prompt_embeds=embeds,
        prompt_attention_mask=mask,
        negative_prompt_embeds=embeds,
        negative_prompt_attention_mask=mask,
        **(GUIDED_ARGUMENTS if guided else UNGUIDED),
    )
    frozen = freeze(audio, given)
    found = ours(model, text, pinned, frozen, guidance=GUIDED if guided else None, negative=negative)
    assert torch.equal(found[1], given)
    assert torch.equal(reference.raw_video(found[0]), wanted[0])
