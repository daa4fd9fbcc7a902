"""From weights in a recipe to a model: what is found, what is refused, and that precision is obeyed."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
import torch

from ltx_ray.errors import ModelError
from ltx_ray.models.catalog import BUILT_IN, Catalog
from ltx_ray.models.load import LOADERS, Loaded
from ltx_ray.models.ltx2.tiny_facts import TINY
from ltx_ray.models.testcard.facts import TESTCARD
from ltx_ray.spec.weights import Lora

FACTS = TINY["2.3"]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def in_precision(weights, precision):
    return [replace(each, precision=precision) for each in weights]


def test_a_catalogue_travels_and_is_a_mapping_of_facts():
    travelled = pickle.loads(pickle.dumps(BUILT_IN))
    assert dict(travelled) == dict(BUILT_IN) and travelled.find(FACTS.weights) == BUILT_IN.find(FACTS.weights)
    assert {entry.loader for entry in BUILT_IN.entries} == set(LOADERS) - {"files"}


def test_weights_that_are_not_here_are_named_with_what_is():
    weights = [replace(FACTS.weights[0], digest="0123")]
    with pytest.raises(ModelError, match=r"model 0123: not on this machine; there are testcard \(testcard-1\), tiny-"):
        BUILT_IN.find(weights)


def test_a_model_that_has_only_some_of_the_parts_is_not_it():
    with pytest.raises(ModelError, match="not on this machine"):
        BUILT_IN.find([FACTS.weights[0], TESTCARD.weights[1]])


def test_a_precision_that_a_model_has_not_is_refused():
    with pytest.raises(ModelError, match="model testcard: vocoder cannot be loaded in bf16, only in fp32"):
        BUILT_IN.find(in_precision(TESTCARD.weights_for("audio_decode")[1:], "bf16"))


def test_loras_that_are_not_here_are_refused_rather_than_left_out():
    weights = [replace(FACTS.weights_for("generate")[0], loras=(Lora(digest="d", strength=1.0),))]
    with pytest.raises(ModelError, match=r"model tiny-2\.3: LoRA d is not on this machine; put its file back"):
        BUILT_IN.find(weights)


def test_a_part_is_loaded_in_the_precision_its_weights_say():
    loaded = Loaded(BUILT_IN)
    text = loaded.open(in_precision(FACTS.weights_for("text_encode"), "bf16")).text_encoder().encode("a fox")
    assert {tensor.dtype for tensor in text.values()} == {torch.bfloat16}
    exact = loaded.open(FACTS.weights_for("text_encode")).text_encoder().encode("a fox")
    assert {tensor.dtype for tensor in exact.values()} == {torch.float32}
    for name, tensor in text.items():
        assert torch.allclose(tensor.float(), exact[name], atol=0.1), name


def test_parts_of_one_model_may_differ_in_precision():
    loaded = Loaded(BUILT_IN)
    model = loaded.open(in_precision(FACTS.weights_for("generate"), "bf16"))
    assert loaded.open(FACTS.weights_for("decode")) is model
    assert (model.parts.transformer.dtype, model.parts.vae.dtype) == (torch.bfloat16, torch.float32)


def test_a_model_stays_open_until_another_is_wanted():
    loaded = Loaded(BUILT_IN)
    first = loaded.open(FACTS.weights_for("decode"))
    assert loaded.open(FACTS.weights_for("upscale")) is first
    assert loaded.open(TESTCARD.weights) is not first
    assert loaded.open(FACTS.weights_for("decode")) is not first
    second = loaded.open(FACTS.weights_for("decode"))
    loaded.close()
    assert loaded.open(FACTS.weights_for("decode")) is not second


def test_a_part_that_two_models_share_comes_from_either():
    distilled = replace(BUILT_IN.entries[1], facts=replace(FACTS, name="distilled", weights=(
        *(replace(each, digest="other") for each in FACTS.weights if each.part == "transformer"),
        *(each for each in FACTS.weights if each.part != "transformer"),
    )))  # fmt: skip
    catalog = Catalog(*BUILT_IN.entries, distilled)
    assert catalog.find(FACTS.weights_for("text_encode")).facts.name == "tiny-2.3"
    assert catalog.find(catalog["distilled"].weights_for("generate")).facts.name == "distilled"
