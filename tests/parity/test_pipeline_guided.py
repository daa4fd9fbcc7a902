"""CFG, self-attention and modality guidance, rescaled, against LTX2Pipeline."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from ltx_ray.sampling.state import AudioLayout, empty_state
from ltx_ray.spec.recipe import Guidance, GuidanceScales
from ltx_ray.spec.sigmas import shifted
from ltx_ray.stages.generate import generate
from tests.parity.pipelines import (
    NUM_CELLS,
    STAGE1_LAYOUT,
    STAGE1_PX,
    GivenText,
    SilentControl,
    descend,
    generate_recipe,
    noise,
)

SIGMAS = shifted(4)
STG_BLOCKS = (1,)
GUIDED = Guidance(
    video=GuidanceScales(cfg=3.0, stg=1.0, modality=3.0, rescale=0.7),
    audio=GuidanceScales(cfg=7.0, stg=0.5, modality=2.0, rescale=0.4),
    stg_blocks=STG_BLOCKS,
)


@pytest.fixture(scope="session")
def negative(model):
    return model.text_encoder().encode("blurry, shaky, low quality")


def ours(model, text, negative, guidance):
    video = empty_state(STAGE1_LAYOUT, model.facts.video_channels)
    audio = empty_state(AudioLayout(0, NUM_CELLS, Fraction(0)), model.facts.audio_channels)
    return descend(model, (video, audio), sigmas=SIGMAS, text=text, guidance=guidance, negative=negative)


def theirs(reference, texts, **scales):
    """The pipeline's connectors stand aside: they would encode both prompts as one batch, which rounds otherwise."""
    embeds, mask = torch.zeros(1, 1, 1), torch.ones(1, 1, dtype=torch.int64)
    return reference.run(
        reference.pipeline(connectors=GivenText(*texts)),
        noise=noise(STAGE1_LAYOUT, reference.model),
        size_px=STAGE1_PX,
        sigmas=list(SIGMAS[:-1]),
        num_inference_steps=len(SIGMAS) - 1,
        prompt_embeds=embeds,
        prompt_attention_mask=mask,
        negative_prompt_embeds=embeds,
        negative_prompt_attention_mask=mask,
        **scales,
    )


def test_every_kind_of_guidance_at_once_is_the_pipeline_bit_for_bit(model, reference, text, negative):
    video, audio = theirs(
        reference,
        (negative, text),
        guidance_scale=3.0,
        stg_scale=1.0,
        modality_scale=3.0,
        guidance_rescale=0.7,
        audio_guidance_scale=7.0,
        audio_stg_scale=0.5,
        audio_modality_scale=2.0,
        audio_guidance_rescale=0.4,
        spatio_temporal_guidance_blocks=list(STG_BLOCKS),
    )
    recipe = generate_recipe(SIGMAS, GUIDED)
    found = generate(recipe, text, model, SilentControl(), negative=negative)
    assert torch.equal(reference.raw_video(found["video"]), video)
    assert torch.equal(reference.raw_audio(found["audio"]), audio)


@pytest.mark.parametrize(
    ("guidance", "scales"),
    [
        (Guidance(video=GuidanceScales(cfg=3.0), audio=GuidanceScales(cfg=3.0)), {"guidance_scale": 3.0}),
        (
            Guidance(video=GuidanceScales(stg=1.0), audio=GuidanceScales(stg=1.0), stg_blocks=STG_BLOCKS),
            {"stg_scale": 1.0, "spatio_temporal_guidance_blocks": list(STG_BLOCKS)},
        ),
        (
            Guidance(video=GuidanceScales(modality=3.0), audio=GuidanceScales(modality=3.0)),
            {"modality_scale": 3.0},
        ),
    ],
    ids=["cfg", "stg", "modality"],
)
def test_each_kind_of_guidance_alone_is_the_pipeline_bit_for_bit(model, reference, text, negative, guidance, scales):
    switched_off = {"audio_guidance_scale": None, "audio_stg_scale": None, "audio_modality_scale": None}
    texts = (negative, text) if guidance.uses_negative else (text,)
    video, audio = theirs(reference, texts, **switched_off, **scales)
    video_ours, audio_ours = ours(model, text, negative, guidance)
    assert torch.equal(reference.raw_video(video_ours), video)
    assert torch.equal(reference.raw_audio(audio_ours), audio)
    plain, _ = ours(model, text, negative, Guidance())
    assert not torch.allclose(plain, video_ours, atol=1e-4), "guidance changes the picture, on 2.0 too"
