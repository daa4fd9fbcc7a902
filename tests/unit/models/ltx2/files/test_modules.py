"""Parts read from files one tensor at a time: whole or not at all, in every precision, with LoRAs in their weights."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ltx_ray.errors import Cancelled, ModelError
from ltx_ray.models.ltx2.files.header import read_header
from ltx_ray.models.ltx2.files.modules import load_module
from ltx_ray.models.ltx2.files.sources import weights_of
from ltx_ray.models.ltx2.packed import PackedLinear
from tests.parity.golden_cases import GOLDEN, config
from tests.unit.models.ltx2.files.gguf_files import blocks, write

DEV = GOLDEN / "ltx-2.3/ltx-2.3-tiny-dev.safetensors"
FP8 = GOLDEN / "ltx-2.3/ltx-2.3-tiny-dev-fp8.safetensors"
GGUF = GOLDEN / "ltx-2.3-quantised/ltx-2.3-tiny-transformer-Q8_0.gguf"
SCALED = "transformer_blocks.1.attn1.to_q.weight"


def load(path: Path, part="transformer", **how):
    return load_module(part, [path], config(part, [path]), **how)


def changed(tmp_path, change, source=DEV):
    tensors = load_file(source)
    path = tmp_path / "changed.safetensors"
    save_file(change(tensors) or tensors, path, metadata=dict(read_header(source).metadata))
    return path


def test_every_tensor_is_that_of_the_file():
    module, stored = load(DEV, "video_vae"), load_file(DEV)
    assert torch.equal(module.latents_mean, stored["vae.per_channel_statistics.mean-of-means"].float())
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}
    assert not any(parameter.is_meta or parameter.requires_grad for parameter in module.parameters())


def test_statistics_of_the_video_vae_and_the_extended_vocoder_stay_in_32_bits():
    vae, vocoder = load(DEV, "video_vae", precision="bf16"), load(DEV, "vocoder", precision="bf16")
    assert vae.latents_mean.dtype == vae.latents_std.dtype == torch.float32 and vae.dtype == torch.bfloat16
    assert {parameter.dtype for parameter in vocoder.parameters()} == {torch.float32}


def test_what_is_missing_unknown_or_of_another_size_is_named(tmp_path):
    name = f"model.diffusion_model.{SCALED}"
    with pytest.raises(ModelError, match=r"lack transformer_blocks\.1\.attn1\.to_q\.weight of the transformer; fetch"):
        load(changed(tmp_path, lambda tensors: {key: each for key, each in tensors.items() if key != name}))
    extra = {"model.diffusion_model.odd.weight": torch.ones(2)}
    with pytest.raises(ModelError, match=r"hold, and nobody knows, odd\.weight of the transformer"):
        load(changed(tmp_path, lambda tensors: tensors | extra))
    with pytest.raises(ModelError, match=r"to_q\.weight is \[3, 3\], and its configuration says \[32, 32\]"):
        load(changed(tmp_path, lambda tensors: tensors | {name: torch.ones(3, 3)}))


def test_a_file_that_shrinks_while_it_is_read_is_a_sentence(tmp_path):
    path = changed(tmp_path, lambda tensors: None)
    told = config("transformer", [path])

    def cut(num_bytes):
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size // 2)

    with pytest.raises(ModelError, match="ended while it was read; fetch it again"):
        load_module("transformer", [path], told, report=cut)


def test_loading_says_how_much_it_read_and_can_be_stopped():
    counted = []
    load(DEV, report=counted.append)
    own = (told for name, told in read_header(DEV).tensors.items() if name.startswith("model.diffusion_model."))
    connectors = sum(
        told.num_bytes for name, told in read_header(DEV).tensors.items() if "embeddings_connector" in name
    )
    assert sum(counted) == sum(told.num_bytes for told in own) - connectors

    def stop(num_bytes):
        raise Cancelled

    with pytest.raises(Cancelled):
        load(DEV, report=stop)


def plus_one(weight):
    assert weight.dtype == torch.float32
    return weight + 1


def test_a_fold_is_in_the_weight_before_it_takes_its_precision():
    plain = load(DEV).get_parameter(SCALED)
    assert torch.equal(load(DEV, folds={SCALED: plus_one}).get_parameter(SCALED), plain + 1)
    assert torch.equal(
        load(DEV, precision="bf16", folds={SCALED: plus_one}).get_parameter(SCALED), (plain + 1).bfloat16()
    )


@pytest.mark.parametrize(
    ("path", "precision", "step"), [(FP8, "fp8", 2**-3), (GGUF, "gguf", 2**-6), (DEV, "fp8", 2**-3)]
)
def test_folded_into_a_packed_weight_it_is_packed_again(path, precision, step):
    name = "transformer_blocks.1.ff.net.0.proj.weight"
    whole = load(path).get_parameter(name)
    layer = load(path, precision=precision, folds={name: plus_one}).get_submodule(name.removesuffix(".weight"))
    assert isinstance(layer, PackedLinear)
    found = layer.packed.unpacked()
    assert (found - (whole + 1)).abs().max() <= step and not torch.equal(found, whole)


def test_what_a_fold_makes_too_large_for_float8_is_the_largest_and_no_nan():
    layer = load(DEV, precision="fp8", folds={SCALED: lambda weight: weight + 1000}).get_submodule(SCALED[:-7])
    assert torch.equal(layer.packed.unpacked(), torch.full((32, 32), 448.0))


def test_a_fold_that_finds_no_weight_is_an_error():
    with pytest.raises(ModelError, match=r"has no gone\.weight to fold a LoRA into"):
        load(DEV, folds={"gone.weight": plus_one})


def test_packed_weights_keep_their_bytes_whatever_type_the_module_is_made():
    packed = load(FP8, precision="fp8")
    layer = packed.get_submodule(SCALED.removesuffix(".weight"))
    before = layer.packed.unpacked()
    packed.to(torch.float16)
    assert layer.data.dtype == torch.uint8 and torch.equal(layer.packed.unpacked(), before)
    x = torch.randn(3, 32)
    wanted = torch.nn.functional.linear(x, before, layer.bias.float())
    assert torch.allclose(layer.to(torch.float32)(x), wanted)


def test_16_bits_of_the_other_kind_are_read(tmp_path):
    path = changed(tmp_path, lambda tensors: {name: each.half() for name, each in tensors.items()})
    assert torch.equal(load(path).get_parameter(SCALED), load_file(path)[f"model.diffusion_model.{SCALED}"].float())


def test_types_of_gguf_that_no_device_takes_back_are_taken_back_while_they_are_loaded(tmp_path):
    tensors = {
        "transformer_blocks.0.scale_shift_table": ("F32", (1, 1), bytes(4)),
        SCALED: ("IQ4_NL", (32, 32), blocks("IQ4_NL", 32)),
    }
    path = write(tmp_path / "a.gguf", tensors)
    (weight,) = (each for each in weights_of("transformer", [path]) if each.name == SCALED)
    assert not weight.stays_packed


CHILD = """
import json, sys
from pathlib import Path
import torch
from ltx_ray.models.ltx2.files.header import read_header
from ltx_ray.models.ltx2.files.quantised import Form
from ltx_ray.models.ltx2.files.read import TensorFile

def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024

path, dtype = Path(sys.argv[1]), getattr(torch, sys.argv[2])
header = read_header(path)
torch.empty(1 << 20, dtype=torch.bfloat16).to(dtype)  # what a first conversion starts is no part of it
before, peak, kept = anonymous(), [0], []
with TensorFile(header, lambda _: peak.append(anonymous())) as file:
    for name in header.tensors:
        kept.append(file.tensor(name, Form("plain"), dtype=dtype, device="cpu"))
        peak.append(anonymous())
print(json.dumps({"peak": max(peak) - before, "kept": sum(each.nbytes for each in kept)}))
"""


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_beside_what_stays_memory_holds_one_piece_at_a_time(tmp_path, dtype):
    tensors = {f"{idx}.weight": torch.zeros(4096, 2048, dtype=torch.bfloat16) for idx in range(8)}
    save_file(tensors, tmp_path / "a.safetensors")
    ran = subprocess.run(
        [sys.executable, "-c", CHILD, tmp_path / "a.safetensors", dtype], capture_output=True, text=True, check=True
    )
    found = json.loads(ran.stdout)
    largest = tensors["0.weight"].nbytes
    assert found["peak"] <= found["kept"] + largest + 64 * 2**20
