"""LoRAs as the official code applies them, folded and beside the weights; every form gives the same numbers."""

from __future__ import annotations

import pytest
import torch

from ltx_ray.models.ltx2.adapters import Adapters, Strong, folds
from ltx_ray.models.ltx2.denoiser import Ltx2Denoiser
from ltx_ray.models.ltx2.files.lora import read_lora
from ltx_ray.models.ltx2.files.modules import load_module
from tests.parity.golden_cases import GOLDEN, Case, config, named, of_kind
from tests.parity.test_golden import AUDIO, VIDEO, apart, states

CASES = [case for case in of_kind("velocity") if case.loras]
CASE = next(case for case in CASES if case.name == "velocity_lora_10" and case.family == "2.3")


def lora_of(case: Case, transformer: torch.nn.Module, path=None) -> Strong:
    shapes = {"transformer": {name: tuple(weight.shape) for name, weight in transformer.named_parameters()}}
    return Strong(read_lora(path or case.loras[0], shapes, model="tiny"), 0.5 if case.name.endswith("_05") else 1.0)


def velocities(case: Case, transformer: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    text = {f"{name}_text": case.inputs[name]["context"].float() for name in ("video", "audio")}
    return Ltx2Denoiser(transformer, VIDEO, AUDIO).velocity(*states(case), case.args["sigma"], text)


def folded(case: Case, lora: Strong) -> torch.nn.Module:
    files = case.files_of("transformer")
    transformer = load_module("transformer", files, config("transformer", files))
    with torch.no_grad():
        for name, fold in folds([lora], "transformer").items():
            weight = transformer.get_parameter(name)
            weight.copy_(fold(weight.clone()))
    return transformer


def test_there_are_cases_of_each_kind():
    assert {(case.family, case.name) for case in CASES} == {
        ("2.0", "velocity_lora_05"),
        ("2.0", "velocity_lora_10"),
        ("2.3", "velocity_lora_05"),
        ("2.3", "velocity_lora_10"),
        ("2.3", "velocity_ic_lora"),
    }


@pytest.mark.parametrize("case", CASES, ids=named)
def test_adapters_compute_what_the_official_code_computes(case):
    transformer = case.module("transformer")
    before = velocities(case, transformer)
    adapters = Adapters(transformer, "transformer")
    adapters.switch([lora_of(case, transformer)])
    try:
        found = velocities(case, transformer)
    finally:
        adapters.switch([])
    assert apart(found[0], case.outputs["video"]) <= 1e-5
    assert apart(found[1], case.outputs["audio"]) <= 1e-5
    assert apart(found[0], before[0]) > 1e-2
    assert torch.equal(velocities(case, transformer)[0], before[0]), "switched off it leaves a trace"


@pytest.mark.parametrize("case", CASES, ids=named)
def test_folded_ones_do_too(case):
    found = velocities(case, folded(case, lora_of(case, case.module("transformer"))))
    assert apart(found[0], case.outputs["video"]) <= 1e-5
    assert apart(found[1], case.outputs["audio"]) <= 1e-5


@pytest.mark.parametrize("form", ["kohya", "peft-unprefixed"])
def test_every_form_gives_the_same_weights_bit_for_bit(form):
    official, other = (
        folded(CASE, lora_of(CASE, CASE.module("transformer"), path))
        for path in (CASE.loras[0], GOLDEN / f"loras/ltx-2.3-tiny-distilled-lora-4-{form}.safetensors")
    )
    for (name, one), (_, two) in zip(official.named_parameters(), other.named_parameters(), strict=True):
        assert torch.equal(one, two), name
