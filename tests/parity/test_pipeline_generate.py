"""Our stages on tiny LTX-2, 2.3 and 2.5 against LTX2Pipeline and LTX2LatentUpsamplePipeline: same modules and noise."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from ltx_ray.models.ltx2.folder import LTX2LatentUpsamplerModel
from ltx_ray.models.ltx2.upscaler import Ltx2Upscaler
from ltx_ray.spec.recipe import UpscaleRecipe
from ltx_ray.spec.sigmas import DISTILLED, STAGE_2_DISTILLED
from ltx_ray.stages.generate import generate
from ltx_ray.stages.refine import refine
from ltx_ray.stages.upscale import upscale
from tests.parity.pipelines import (
    FINAL_LAYOUT,
    FINAL_PX,
    NUM_FRAMES,
    PROMPT,
    STAGE1_LAYOUT,
    STAGE1_PX,
    LTX2LatentUpsamplePipeline,
    LTX2Pipeline,
    Reference,
    SilentControl,
    frames_of,
    generate_recipe,
    noise,
    refine_recipe,
    sound_of,
)


def test_a_prompt_is_encoded_as_by_the_pipeline(model, reference, text):
    pipe = reference.pipeline()
    with torch.no_grad():
        embeds, mask, _, _ = pipe.encode_prompt(PROMPT, do_classifier_free_guidance=False)
        video, audio, ones = model.parts.connectors(embeds, mask, padding_side="left")
    assert torch.equal(text["video_text"], video)
    assert torch.equal(text["audio_text"], audio)
    assert bool(ones.all()), "a mask would have to go along"


@dataclass(frozen=True)
class Run:
    """What both sides made of one prompt."""

    ours: dict[str, Any]
    theirs: dict[str, Any]


@pytest.fixture(scope="session")
def run(model, text):
    """Both stages on both sides, distilled; latents as the pipelines put them out."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        reference = Reference(model, monkeypatch)
        pipe, theirs = reference.pipeline(), {}
        theirs["stage1"] = reference.run(
            pipe, noise=noise(STAGE1_LAYOUT, model), size_px=STAGE1_PX, **_steps(DISTILLED)
        )
        theirs["upscaled"] = reference.upsample(theirs["stage1"][0])
        for output_type in ("latent", "np"):
            theirs[output_type] = reference.run(
                pipe,
                noise=noise(FINAL_LAYOUT, model),
                size_px=FINAL_PX,
                output_type=output_type,
                latents=theirs["upscaled"],
                audio_latents=theirs["stage1"][1],
                noise_scale=STAGE_2_DISTILLED[0],
                **_steps(STAGE_2_DISTILLED),
            )
    ours: dict[str, Any] = {"stage1": generate(generate_recipe(), text, model, SilentControl())}
    ours["upscaled"] = upscale(UpscaleRecipe(weights=(), ratio=Fraction(2)), ours["stage1"]["video"], model)
    # The pipeline takes the statistics of the audio VAE off after stage 1 and puts them on before stage 2, which
    # rounds; stages hand the normalised latent over as it is. Here ours takes the same detour.
    audio = reference.normalised_audio(reference.raw_audio(ours["stage1"]["audio"]))
    torch.testing.assert_close(audio, ours["stage1"]["audio"], rtol=0, atol=1e-6)
    ours["refined"] = refine(
        refine_recipe(), text, model, SilentControl(), video_BCFHW=ours["upscaled"]["video"], audio_BLC=audio
    )
    return Run(ours, theirs)


def _steps(sigmas):
    return {"prompt": PROMPT, "sigmas": list(sigmas[:-1]), "num_inference_steps": len(sigmas) - 1}


def test_stage_1_is_the_pipeline_bit_for_bit(run, reference):
    video, audio = run.theirs["stage1"]
    assert torch.equal(reference.raw_video(run.ours["stage1"]["video"]), video)
    assert torch.equal(reference.raw_audio(run.ours["stage1"]["audio"]), audio)


def test_upscaling_is_the_upsampling_pipeline_bit_for_bit(run, model):
    vae = model.parts.vae
    theirs = LTX2Pipeline._normalize_latents(run.theirs["upscaled"], vae.latents_mean, vae.latents_std)
    assert torch.equal(run.ours["upscaled"]["video"], theirs)


@pytest.mark.parametrize("name", ["latent_upsampler_x1.5", "temporal_upsampler"])
def test_the_other_upsamplers_are_the_upsampling_pipeline_bit_for_bit(run, model, checkpoints, name):
    vae, folder = model.parts.vae, checkpoints / model.facts.digest
    network = LTX2LatentUpsamplerModel.from_pretrained(folder / name).eval()
    pipe = LTX2LatentUpsamplePipeline(vae=vae, latent_upsampler=network)
    (theirs,) = pipe(latents=run.theirs["stage1"][0], output_type="latent", return_dict=False)
    ours = Ltx2Upscaler(network, vae.latents_mean, vae.latents_std).upscale(run.ours["stage1"]["video"])
    assert torch.equal(ours, LTX2Pipeline._normalize_latents(theirs, vae.latents_mean, vae.latents_std))


def test_stage_2_is_the_pipeline_bit_for_bit(run, reference):
    video, audio = run.theirs["latent"]
    assert torch.equal(reference.raw_video(run.ours["refined"]["video"]), video)
    assert torch.equal(reference.raw_audio(run.ours["refined"]["audio"]), audio)


def test_frames_are_those_of_the_pipeline(run, model):
    """To one level of 255: in pieces a convolution rounds otherwise than in one (1e-4 of a standard deviation)."""
    ours = frames_of(model, run.ours["refined"]["video"]).astype(int)
    theirs = np.round(run.theirs["np"][0][0] * 255.0).astype(int)
    assert ours.shape == theirs.shape == (NUM_FRAMES, FINAL_PX[1], FINAL_PX[0], 3)
    assert np.abs(ours - theirs).max() <= 1
    assert (ours != theirs).mean() < 1e-3


def test_sound_is_that_of_the_pipeline(run, model):
    """To 1e-5: windows make a convolution round otherwise than one piece."""
    theirs = run.theirs["np"][1][0].numpy()
    ours = sound_of(model, run.ours["refined"]["audio"], theirs.shape[1])
    assert ours.shape == theirs.shape
    assert 0.01 < theirs.std() < 0.9, "neither silent nor clipped"
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
