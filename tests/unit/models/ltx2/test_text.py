"""A prompt to the transformer's text."""

from __future__ import annotations

import pytest
import torch

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.model import Ltx2Model, Parts
from ltx_ray.models.ltx2.text import NUM_TOKENS, Ltx2TextEncoder
from ltx_ray.models.ltx2.tiny import cached_tiny
from ltx_ray.models.ltx2.tiny_configs import AUDIO_WIDTH, VIDEO_WIDTH
from ltx_ray.models.ltx2.tiny_facts import TINY


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return Ltx2Model(TINY["2.3"], Parts(cached_tiny("2.3", tmp_path_factory.mktemp("tiny"))))


@pytest.fixture
def encoder(model):
    return model.text_encoder()


def test_a_prompt_becomes_a_text_for_each_stream(encoder):
    text = encoder.encode("A lighthouse")
    assert {name: tuple(tensor.shape) for name, tensor in text.items()} == {
        "video_text": (1, NUM_TOKENS, VIDEO_WIDTH),
        "audio_text": (1, NUM_TOKENS, AUDIO_WIDTH),
    }
    assert all(tensor.is_contiguous() for tensor in text.values())


def test_other_words_make_another_text_and_space_around_them_none(encoder):
    text, spaced, other = (encoder.encode(prompt)["video_text"] for prompt in ("A boat", "  A boat\n", "A coat"))
    assert torch.equal(text, spaced)
    assert not torch.allclose(text, other, atol=1e-3)


def test_an_empty_prompt_is_a_prompt(encoder):
    assert bool(encoder.encode("")["video_text"].isfinite().all())


def test_a_prompt_that_the_model_cannot_read_whole_is_refused(encoder):
    with pytest.raises(ModelError, match=r"prompt 'xyxy.*\.\.\.': \d{4} tokens; this model reads 1024, so shorten it"):
        encoder.encode("xy" * 1000)


def test_connectors_that_would_need_a_mask_are_refused(model):
    class Connectors:
        class config:  # noqa: N801
            video_connector_num_learnable_registers = None

    with pytest.raises(ModelError, match="no learnable registers"):
        Ltx2TextEncoder(model.parts.text_encoder, model.parts.tokenizer, Connectors())
