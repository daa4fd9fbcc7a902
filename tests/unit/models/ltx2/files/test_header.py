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


def one(**changes):
    return with_head({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} | changes}, bytes(4))


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
        *((pickle.dumps({"a": 1}, protocol), "is pickled") for protocol in range(2, 6)),
        (b"PK\x03\x04" + bytes(100), "is pickled"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "run `git lfs pull` there"),
        (b"\n<!DOCTYPE html><html></html>", "is a web page; download the file itself"),
        (b"<html><body>Sign in</body></html>", "is a web page"),
        (one(dtype="F4"), "a is of type F4, which is not read; take a file in bf16"),
        *(
            (one(**{key: value}), "its head is damaged")
            for key, value in (
                ("dtype", None),
                ("dtype", ["F32"]),
                ("shape", [-1, -1]),
                ("shape", [1.0]),
                ("shape", [True]),
                ("shape", "1"),
                ("shape", [2**63]),
                ("data_offsets", [4, 0]),
                ("data_offsets", [0.0, 4.0]),
                ("data_offsets", [-4, 0]),
                ("data_offsets", [0, 4, 8]),
            )
        ),
        (with_head({"__metadata__": {"a": 1}}), "its head is damaged"),
        (with_head({"__metadata__": {"a": {}}}), "its head is damaged"),
        (with_head(b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "its head is damaged"),
        (with_head(b'{"\xff": 1}'), "its head is damaged"),
        (
            with_head(
                b'{"a": %s, "a": %s}' % (2 * (b'{"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}',)), bytes(4)
            ),
            "its head is damaged",
        ),
        (one(data_offsets=[4, 8]) + bytes(4), "a overlaps another tensor or leaves a gap"),
    ],
)
def test_a_file_that_is_none_or_damaged_is_a_sentence(written, content, what):
    with pytest.raises(ModelError) as raised:
        read_header(written(content))
    assert what in str(raised.value) and str(raised.value).startswith(f"{written(content)}: ")


def test_a_head_that_is_larger_than_any_is_not_read(tmp_path):
    path = tmp_path / "a.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 100_000_001) + b"{")
        file.truncate(200_000_000)  # of which a disk holds no more than the begin
    with pytest.raises(ModelError, match="has a head of 100 MB, and no model has 100; fetch it again"):
        read_header(path)


@pytest.mark.parametrize("name", ["model.pt", "model.bin", "model.ckpt"])
def test_names_count_only_for_what_is_no_weight_file(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"anything else")
    with pytest.raises(ModelError, match=r"is pickled, .* get its \.safetensors"):
        read_header(path)
    path.write_bytes(CONTENT)
    assert set(read_header(path).tensors) == {"a", "b"}


def test_a_length_that_looks_like_a_pickle_is_a_length(written):
    text = json.dumps({"a": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}).encode().ljust(0x280)
    assert text[:1] == b"{"
    header = read_header(written(struct.pack("<Q", 0x280) + text))
    assert struct.pack("<Q", 0x280).startswith(b"\x80\x02") and header.tensors == {"a": Told("U8", (0,))}


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        read_header(tmp_path)


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
