"""Heads of weight files: what they tell, and every way to be damaged."""

import json
import pickle
import random
import struct

import pytest
import torch
from safetensors.torch import save

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.files.header import Told, read_header

CONTENT = save({"a": torch.zeros(2, 3), "b": torch.ones(4, dtype=torch.bfloat16)}, metadata={"config": '{"x": 1}'})


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "weights.safetensors"

    def write(content):
        path.write_bytes(content)
        return path

    return write


def test_a_head_tells_types_shapes_and_configuration(written):
    header = read_header(written(CONTENT))
    assert header.tensors == {"a": Told("F32", (2, 3)), "b": Told("BF16", (4,))}
    assert header.config == {"x": 1}


def with_head(head, data=b""):
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty; fetch it again"),
        (CONTENT[:40], "is no safetensors file, or is cut off"),
        (CONTENT[:-3], "is cut off: its head tells of 32 bytes, and 29 are there"),
        (CONTENT + b"more", "has bytes that are no tensor: its head tells of 32 bytes, and 36 are there"),
        (struct.pack("<Q", 200_000_000) + b" " * 100, "is no safetensors file"),
        (with_head(b"[1, 2]"), "is no safetensors file, or is cut off"),
        (with_head(b"{1, 2}"), "its head is damaged"),
        (with_head({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, bytes(4)), "its head is damaged"),
        (with_head({"a": {"dtype": "F32", "shape": [1]}}, bytes(4)), "its head is damaged"),
        (
            with_head(
                {
                    "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                    "b": {"dtype": "F32", "shape": [1], "data_offsets": [2, 6]},
                },
                bytes(6),
            ),
            "b overlaps another tensor or leaves a gap",
        ),
        (pickle.dumps({"a": 1}), "is pickled, which can run anything and is never read; get its .safetensors"),
        (b"PK\x03\x04" + bytes(100), "is pickled"),
    ],
)
def test_a_file_that_is_none_or_damaged_is_a_sentence(written, content, what):
    with pytest.raises(ModelError) as raised:
        read_header(written(content))
    assert what in str(raised.value) and str(raised.value).startswith(f"{written(content)}: ")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"gone\.safetensors: cannot be read \(No such file"):
        read_header(tmp_path / "gone.safetensors")


def test_no_flipped_bit_of_a_head_brings_anything_but_a_sentence(written):
    chance = random.Random(7)
    length = 8 + struct.unpack("<Q", CONTENT[:8])[0]
    for _ in range(400):
        spoilt = bytearray(CONTENT)
        spoilt[chance.randrange(length)] ^= 1 << chance.randrange(8)
        try:
            read_header(written(bytes(spoilt)))
        except ModelError:
            pass
