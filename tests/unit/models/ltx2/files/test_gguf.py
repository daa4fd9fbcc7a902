"""GGUF: heads in order and damaged, and blocks of every type against the library of the format."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gguf.constants import GGMLQuantizationType
from gguf.quants import dequantize

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.files import gguf_types
from ltx_ray.models.ltx2.files.header import read_header
from ltx_ray.models.ltx2.files.quantised import Form, forms
from ltx_ray.models.ltx2.files.read import TensorFile
from ltx_ray.models.ltx2.packed import Packed
from tests.unit.models.ltx2.files.gguf_files import TYPES, blocks, write

PLAIN = {"a.weight": ("F32", (2, 3), np.arange(6, dtype="<f4").tobytes())}


def by_the_library(dtype: str, content: bytes, shape: tuple[int, ...]) -> torch.Tensor:
    size = gguf_types.sizes(dtype)[1]
    raw = np.frombuffer(content, dtype=np.uint8).reshape(-1, size)
    return torch.from_numpy(dequantize(raw, GGMLQuantizationType[dtype]).reshape(shape))


@pytest.mark.parametrize("dtype", TYPES)
def test_blocks_of_every_type_are_the_numbers_that_the_library_makes_of_them(tmp_path, dtype):
    values = gguf_types.sizes(dtype)[0]
    shape = (6, 2 * values)
    content = blocks(dtype, 12)
    wanted = by_the_library(dtype, content, shape)
    header = read_header(write(tmp_path / "a.gguf", {"x.weight": (dtype, shape, content)}))
    assert header.tensors["x.weight"].shape == shape and header.is_gguf
    (form,) = forms(header, header.tensors).values()
    assert form == Form("gguf")
    with TensorFile(header) as file:
        assert torch.equal(file.tensor("x.weight", form, dtype=torch.float32, device="cpu"), wanted)
        packed = file.packed("x.weight", form, device="cpu")
    assert isinstance(packed, Packed) and torch.equal(packed.unpacked(), wanted)
    assert torch.equal(packed.unpacked(2, 5), wanted[2:5])


def test_types_that_people_publish_stay_packed_and_others_do_not():
    assert all(gguf_types.is_unpacked_anywhere(dtype) for dtype in TYPES if not dtype.startswith("IQ"))
    assert not gguf_types.is_unpacked_anywhere("IQ4_NL")


def test_a_head_tells_texts_shapes_and_what_a_shape_was_before(tmp_path):
    tensors = {**PLAIN, "b": ("Q8_0", (1, 64), blocks("Q8_0", 2))}
    original = {"comfy__gguf__orig_shape__b": [4, 16]}
    header = read_header(write(tmp_path / "a.safetensors", tensors, general__name="fox", **original))
    assert {name: told.shape for name, told in header.tensors.items()} == {"a.weight": (2, 3), "b": (4, 16)}
    assert header.metadata["general.name"] == "fox" and header.config is None
    with TensorFile(header) as file:
        found = file.tensor("a.weight", Form("plain"), dtype=torch.float32, device="cpu")
    assert torch.equal(found, torch.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize(
    ("how", "what"),
    [
        ({"version": 1}, "is GGUF of version 1; take one of version 3"),
        ({"general__architecture": "flux"}, r"is a GGUF of flux; take one of LTX-2 \(ltxv\)"),
        ({"shift": 32}, "a.weight overlaps another tensor or leaves a gap"),
        ({"general__alignment": 0}, "its head is damaged"),
        ({"comfy__gguf__orig_shape__a__weight": [5]}, "a.weight has two shapes that do not agree"),
        ({"comfy__gguf__orig_shape__a__weight": [-2, -3]}, "a.weight has two shapes that do not agree"),
        ({"comfy__gguf__orig_shape__a__weight": 6}, "a.weight has two shapes that do not agree"),
        ({"comfy__gguf__orig_shape__a__weight": "6"}, "a.weight has two shapes that do not agree"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_a_sentence(tmp_path, how, what):
    with pytest.raises(ModelError, match=what):
        read_header(write(tmp_path / "a.gguf", PLAIN, **how))


def test_every_cut_and_every_flipped_bit_of_a_head_is_a_sentence_or_harmless(tmp_path):
    whole = write(tmp_path / "a.gguf", {**PLAIN, "b": ("Q4_K", (1, 256), blocks("Q4_K", 1))}).read_bytes()
    head = len(whole) - 32 - 160
    path = tmp_path / "b.gguf"
    for stop in range(0, len(whole) - 32, 3):
        path.write_bytes(whole[:stop])
        with pytest.raises(ModelError):
            read_header(path)
    for place in range(head):
        damaged = bytearray(whole)
        damaged[place] ^= 0x40
        path.write_bytes(damaged)
        try:
            header = read_header(path)
        except ModelError:
            continue
        assert all(told.start + told.num_bytes <= len(whole) for told in header.tensors.values())


def test_rows_that_hold_no_whole_blocks_and_types_that_are_not_known_are_refused(tmp_path):
    path = write(tmp_path / "a.gguf", {"x": ("Q8_0", (2, 40), bytes(100))})
    with pytest.raises(ModelError, match="x has rows of 40, which hold no blocks of 32"):
        read_header(path)
    content = path.read_bytes().replace(b"\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", b"\x63" + bytes(11), 1)
    path.write_bytes(content)
    with pytest.raises(ModelError, match="x is of type 99, which is not read; take Q8_0, Q6_K or Q4_K"):
        read_header(path)
    header = read_header(write(tmp_path / "b.gguf", {"x": ("Q8_1", (1, 32), bytes(40))}))
    with pytest.raises(ModelError, match="x is Q8_1, which is not read"):
        forms(header, header.tensors)
