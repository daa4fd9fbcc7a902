"""GGUF files written by hand, because no package writes K-types, and damaged ones cannot be written otherwise."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

TEXT, ARRAY, UINT32, INT32 = 8, 9, 4, 5


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def value(content: str | int | list[int]) -> bytes:
    match content:
        case str():
            return struct.pack("<I", TEXT) + text(content)
        case int():
            return struct.pack("<II", UINT32, content)
        case _:
            items = b"".join(struct.pack("<i", item) for item in content)
            return struct.pack("<IIQ", ARRAY, INT32, len(content)) + items


def write(
    path: Path,
    tensors: dict[str, tuple[str, tuple[int, ...], bytes]],
    *,
    version: int = 3,
    shift: int = 0,
    **values: str | int | list[int],
) -> Path:
    """Tensors as (type, shape as torch has it, bytes); ``shift`` moves every offset, which damages the file."""
    told = {"general.architecture": "ltxv"} | {key.replace("__", "."): content for key, content in values.items()}
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(told))
    head += b"".join(text(key) + value(content) for key, content in told.items())
    data, infos = b"", b""
    for name, (dtype, shape, content) in tensors.items():
        infos += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape[::-1])
        infos += struct.pack("<IQ", GGMLQuantizationType[dtype].value, len(data) + shift)
        data += content + bytes(-len(content) % 32)
    head += infos
    path.write_bytes(head + bytes(-len(head) % 32) + data)
    return path


def blocks(dtype: str, num_blocks: int, seed: int = 0) -> bytes:
    """Blocks of a type with any bits, and scales that are finite."""
    size = GGML_QUANT_SIZES[GGMLQuantizationType[dtype]][1]
    generator = np.random.default_rng(seed)
    raw = generator.integers(0, 256, (num_blocks, size), dtype=np.uint8)
    for begin in _SCALES[dtype]:
        halves = generator.uniform(-2, 2, num_blocks).astype(np.float16)
        raw[:, begin : begin + 2] = halves.view(np.uint8).reshape(num_blocks, 2)
    return raw.tobytes()


#: Where a block has numbers of 16 bits.
_SCALES = {
    "Q4_0": (0,),
    "Q4_1": (0, 2),
    "Q5_0": (0,),
    "Q5_1": (0, 2),
    "Q8_0": (0,),
    "Q2_K": (80, 82),
    "Q3_K": (108,),
    "Q4_K": (0, 2),
    "Q5_K": (0, 2),
    "Q6_K": (208,),
    "IQ4_NL": (0,),
    "IQ4_XS": (0,),
}
TYPES = tuple(_SCALES)
