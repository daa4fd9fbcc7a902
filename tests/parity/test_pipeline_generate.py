"""Our stages on tiny LTX-2, 2.3 and 2.5 against LTX2Pipeline and LTX2LatentUpsamplePipeline: same modules and noise."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("diffusers")

from ltx_ray.models.ltx2.model import Ltx2Model, Parts
from ltx_ray.models.ltx2.tiny import cached_tiny
from ltx_ray.models.ltx2.tiny_configs import FLAVOURS
from ltx_ray.models.ltx2.tiny_facts import TINY
from ltx_ray.stages.generate import generate
from tests.parity.pipelines import (
    STAGE1_LAYOUT,
    STAGE1_PX,
    Reference,
    SilentControl,
    generate_recipe,
    noise,
)

PROMPT = "A lighthouse at dusk, waves over the rocks"


@pytest.fixture(scope="module", params=FLAVOURS)
def model(request, tmp_path_factory):
    folder = cached_tiny(request.param, tmp_path_factory.mktemp("tiny"))
    return Ltx2Model(TINY[request.param], Parts(folder))


@pytest.fixture
def reference(model, monkeypatch):
    return Reference(model, monkeypatch)


@pytest.fixture(scope="module")
def text(model):
    return model.text_encoder().encode(PROMPT)


def test_a_prompt_is_encoded_as_by_the_pipeline(model, reference, text):
    pipe = reference.pipeline()
    with torch.no_grad():
        embeds, mask, _, _ = pipe.encode_prompt(PROMPT, do_classifier_free_guidance=False)
        video, audio, ones = model.parts.connectors(embeds, mask, padding_side="left")
    assert torch.equal(text["video_text"], video)
    assert torch.equal(text["audio_text"], audio)
    assert bool(ones.all()), "a mask would have to go along"


def test_stage_1_is_the_pipeline_bit_for_bit(model, reference, text):
    recipe = generate_recipe()
    ours = generate(recipe, text, model, SilentControl())
    sigmas = list(recipe.sampling.sigmas[:-1])
    video, audio = reference.run(
        reference.pipeline(),
        noise=noise(STAGE1_LAYOUT, model),
        size_px=STAGE1_PX,
        prompt=PROMPT,
        sigmas=sigmas,
        num_inference_steps=len(sigmas),
    )
    assert torch.equal(reference.raw_video(ours["video"]), video)
    assert torch.equal(reference.raw_audio(ours["audio"]), audio)
