"""Quantised files: weights are those of an independent de-quantiser bit for bit, loaded so or taken back at use."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch

from ltx_ray.models.ltx2.denoiser import Ltx2Denoiser
from ltx_ray.models.ltx2.files.modules import load_module
from ltx_ray.models.ltx2.files.names import renamed
from ltx_ray.models.ltx2.packed import PackedLinear
from tests.parity.golden_cases import GOLDEN, config, named, of_kind
from tests.parity.test_golden import AUDIO, VIDEO, apart, states

QUANTISED = ("fp8", "comfy_scaled_fp8", "fp8_cast", "gguf_Q8_0", "gguf_Q4_0")
CASES = [case for case in of_kind("velocity") if case.name.removeprefix("velocity_") in QUANTISED]
EXPECTED = json.loads((GOLDEN / "ltx-2.3-quantised/gguf-expected.json").read_text())


def precision_of(case):
    return "gguf" if "gguf" in case.name else "fp8"


def test_there_is_a_case_of_each_form():
    assert {case.name.removeprefix("velocity_") for case in CASES} == set(QUANTISED)


@pytest.mark.parametrize("case", CASES, ids=named)
def test_weights_taken_back_at_use_compute_what_the_official_code_computes(case):
    transformer = case.packed("transformer", precision_of(case))
    assert sum(isinstance(module, PackedLinear) for module in transformer.modules()) >= 17
    text = {f"{name}_text": case.inputs[name]["context"].float() for name in ("video", "audio")}
    found = Ltx2Denoiser(transformer, VIDEO, AUDIO).velocity(*states(case), case.args["sigma"], text)
    assert apart(found[0], case.outputs["video"]) <= 1e-5
    assert apart(found[1], case.outputs["audio"]) <= 1e-5


@pytest.mark.parametrize("case", CASES, ids=named)
def test_loaded_and_taken_back_at_use_are_the_same_numbers(case):
    whole, packed = case.module("transformer"), case.packed("transformer", precision_of(case))
    for name, module in packed.named_modules():
        if isinstance(module, PackedLinear):
            assert torch.equal(module.packed.unpacked(), whole.get_submodule(name).weight), name


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_weights_of_gguf_are_those_of_its_own_library(name):
    case = next(case for case in CASES if name in {path.name for path in case.files})
    state = case.module("transformer").state_dict()
    checked = 0
    for stored, told in EXPECTED[name].items():
        weight = state.get(renamed("transformer", stored))
        if weight is not None and "embeddings_connector" not in stored:
            digest = hashlib.sha256(weight.numpy().astype("<f4").tobytes()).hexdigest()
            assert digest == told["sha256_of_float32_le"], stored
            checked += 1
    assert checked >= 18


def test_fp8_of_a_file_in_16_bits_casts_the_linears_of_its_blocks_and_nothing_else():
    path = GOLDEN / "ltx-2.3/ltx-2.3-tiny-dev.safetensors"
    told = config("transformer", [path])
    whole, cast = (load_module("transformer", [path], told, precision=each) for each in ("fp32", "fp8"))
    packed = {name for name, module in cast.named_modules() if isinstance(module, PackedLinear)}
    linears = {name for name, module in whole.named_modules() if type(module) is torch.nn.Linear}
    assert packed == {name for name in linears if name.startswith("transformer_blocks.")}
    for name in packed:
        weight = whole.get_submodule(name).weight.to(torch.float8_e4m3fn).float()
        assert torch.equal(cast.get_submodule(name).packed.unpacked(), weight)
    assert cast.dtype == torch.bfloat16
