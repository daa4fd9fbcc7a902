"""A prompt to the transformer's text."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.folder import Folder
from ltx_ray.models.ltx2.model import Ltx2Model
from ltx_ray.models.ltx2.parts import Parts
from ltx_ray.models.ltx2.text import NUM_TOKENS, Ltx2TextEncoder
from ltx_ray.models.ltx2.tiny import cached_tiny
from ltx_ray.models.ltx2.tiny_configs import AUDIO_WIDTH, VIDEO_WIDTH
from ltx_ray.models.ltx2.tiny_facts import TINY


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return Ltx2Model(TINY["2.3"], Parts(Folder(cached_tiny("2.3", tmp_path_factory.mktemp("tiny")))))


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


def test_of_a_prompt_that_the_model_cannot_read_whole_the_beginning_is_read(encoder, caplog):
    cut = encoder.encode("xy" * 1000)["video_text"]
    assert "prompt 'xyxy" in caplog.text and "this model reads 1024 tokens; the last" in caplog.text
    assert torch.equal(cut, encoder.encode("xy" * 1000 + " and more")["video_text"])


@pytest.mark.parametrize("prompt", ["", "A lighthouse"])
def test_a_prompt_begins_with_bos_whether_or_not_its_tokenizer_adds_it(model, prompt):
    """That of Gemma 4 does not, and nothing would be left of an empty prompt."""
    tokenizer = model.parts.tokenizer

    class Bare:
        padding_side, pad_token = "left", tokenizer.pad_token
        bos_token_id, pad = tokenizer.bos_token_id, tokenizer.pad

        def __call__(self, text):
            return tokenizer(text, add_special_tokens=False)

    asked = [Ltx2TextEncoder(SimpleNamespace(tokenizer=each))._tokenize(prompt) for each in (tokenizer, Bare())]
    assert torch.equal(asked[0]["input_ids"], asked[1]["input_ids"])
    ids = asked[0]["input_ids"][0][asked[0]["attention_mask"][0].bool()].tolist()
    assert ids[0] == tokenizer.bos_token_id and len(ids) == 1 + len(
        tokenizer(prompt, add_special_tokens=False)["input_ids"]
    )


def test_connectors_that_would_need_a_mask_are_refused(model):
    class Connectors:
        class config:  # noqa: N801
            video_connector_num_learnable_registers = None

    parts = SimpleNamespace(
        text_encoder=model.parts.text_encoder, tokenizer=model.parts.tokenizer, connectors=Connectors()
    )
    with pytest.raises(ModelError, match="no learnable registers"):
        Ltx2TextEncoder(parts).encode("a fox")
