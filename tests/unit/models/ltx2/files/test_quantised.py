"""Float8 weights back to numbers, and everything else that looks quantised refused by name."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.files.header import read_header
from ltx_ray.models.ltx2.files.modules import load_module
from ltx_ray.models.ltx2.files.names import part_of, renamed
from ltx_ray.models.ltx2.files.quantised import Form, forms
from ltx_ray.models.ltx2.files.read import TensorFile
from ltx_ray.models.ltx2.files.sources import weights_of
from tests.parity.golden_cases import config

GOLDEN = Path(__file__).parents[4] / "parity/golden"
FILES = [
    GOLDEN / "ltx-2.0/ltx-2-tiny-dev-fp8.safetensors",
    GOLDEN / "ltx-2.3/ltx-2.3-tiny-dev-fp8.safetensors",
    *sorted((GOLDEN / "ltx-2.3-quantised").glob("ltx*fp8*.safetensors")),
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_weight_is_its_float8_number_times_its_scale(path):
    state = load_module("transformer", [path], config("transformer", [path])).state_dict()
    num_scaled = 0
    with safe_open(path, framework="pt") as file:
        held = set(file.keys())
        for name in held:
            if (
                part_of(name) != "transformer"
                or name.endswith("scaled_fp8")
                or file.get_tensor(name).dtype != torch.float8_e4m3fn
            ):
                continue
            # By its bits: sign, four of the exponent, three of the mantissa.
            bits = file.get_tensor(name).view(torch.uint8).to(torch.int32)
            exponent, mantissa = (bits >> 3) & 15, bits & 7
            size = torch.where(exponent == 0, mantissa / 8 * 2.0**-6, (1 + mantissa / 8) * 2.0 ** (exponent - 7.0))
            number = torch.where(bits >= 128, -size, size).float()
            base = name.removesuffix("weight")
            scales = [file.get_tensor(base + each) for each in ("weight_scale", "scale_weight") if base + each in held]
            num_scaled += bool(scales)
            wanted = number * scales[0] if scales else number
            assert torch.equal(state[renamed("transformer", name)], wanted), name
    assert num_scaled > 20 or "cast" in path.name


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("refuse-nvfp4.safetensors", "is quantised as 'nvfp4'"),
        ("refuse-comfy-int8-convrot.safetensors", "is quantised as 'int8_tensorwise'"),
    ],
)
def test_files_of_forms_that_are_not_understood_are_refused(name, what):
    path = GOLDEN / "ltx-2.3-quantised" / name
    with pytest.raises(ModelError, match=what):
        list(weights_of("transformer", [path]))


def tensors(**extra):
    return {"x.weight": torch.ones(4, 4).to(torch.float8_e4m3fn), "y.weight": torch.ones(4, 4)} | {
        key.replace("__", "."): value for key, value in extra.items()
    }


def told(form):
    return torch.frombuffer(bytearray(json.dumps(form).encode()), dtype=torch.uint8)


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        ({}, None),
        ({"x__weight_scale": torch.tensor(2.0), "x__input_scale": torch.tensor(1.0)}, None),
        ({"x__scale_weight": torch.tensor([2.0]), "scaled_fp8": torch.zeros(0)}, None),
        ({"x__comfy_quant": told({"format": "float8_e4m3fn"}), "x__weight_scale": torch.tensor(2.0)}, None),
        ({"x__comfy_quant": told({"format": "mxfp8"})}, "x is quantised as 'mxfp8'"),
        ({"x__comfy_quant": told({"format": "nvfp4"})}, "x is quantised as 'nvfp4'"),
        ({"x__comfy_quant": torch.tensor([1, 2], dtype=torch.uint8)}, "x is quantised as 'unreadable'"),
        ({"x__weight_scale": torch.ones(4, 1)}, "x.weight_scale is a scale of shape [4, 1], not one number"),
        ({"x__weight_scale_2": torch.tensor(1.0)}, "x.weight_scale_2 is a scale of nothing that is quantised"),
        ({"y__weight_scale": torch.tensor(1.0)}, "y.weight_scale is a scale of nothing that is quantised"),
        ({"y__row_scale": torch.tensor(1.0)}, "y.row_scale is a scale that is not understood"),
        ({"z__weight": torch.ones(2, dtype=torch.int8)}, "z.weight is I8"),
        ({"z__scale_shift_table_a2v_ca_audio": torch.ones(5, 4)}, None),
    ],
)
def test_what_is_understood_and_what_is_not(tmp_path, extra, why):
    save_file(tensors(**extra), tmp_path / "a.safetensors")
    header = read_header(tmp_path / "a.safetensors")
    if why is None:
        found = forms(header, header.tensors)
        assert found["y.weight"] == Form("plain") and found["x.weight"].kind == "fp8"
    else:
        with pytest.raises(ModelError, match=re.escape(f"{why}, which is not read; take a file in bf16")):
            forms(header, header.tensors)


def test_a_format_in_the_head_counts_as_one_beside_the_weight(tmp_path):
    layers = json.dumps({"layers": {"x": {"format": "nvfp4"}}})
    save_file(tensors(), tmp_path / "a.safetensors", metadata={"_quantization_metadata": layers})
    header = read_header(tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match="x is quantised as 'nvfp4'"):
        forms(header, header.tensors)


def test_a_weight_without_a_scale_is_a_plain_cast(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file(tensors(x__scale_weight=torch.tensor(3.0), z__bias=torch.ones(2).to(torch.float8_e5m2)), path)
    header = read_header(path)
    found = forms(header, header.tensors)
    with TensorFile(header) as file:
        for name, wanted in (("x.weight", torch.full((4, 4), 3.0)), ("z.bias", torch.ones(2))):
            assert torch.equal(file.tensor(name, found[name], dtype=torch.float32, device="cpu"), wanted)
