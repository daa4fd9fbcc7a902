"""Blocks of GGUF back to numbers: on any device for the types that people publish, else by the library of the format.

A row of blocks is [blocks, bytes of a block] uint8, and gives [blocks, values] float32. Each function does what the
library does in numpy, in the same order in float32, so results are equal bit for bit.
Source: ggml-org/llama.cpp gguf-py/gguf/quants.py, as in gguf 0.19.0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from ltx_ray.models.ltx2.files.header import Told

#: Blocks whose numbers ``spread`` is of.
_LOOKED_AT = 256


@cache
def is_read(dtype: str) -> bool:
    """Whether blocks of this type can be taken back to numbers."""
    from gguf import quants

    return dtype in {kind.name for kind in quants._type_traits}


def sizes(dtype: str) -> tuple[int, int]:
    """Values and bytes of a block."""
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    return GGML_QUANT_SIZES[GGMLQuantizationType[dtype]]


def is_unpacked_anywhere(dtype: str) -> bool:
    """Whether its blocks can stay packed, because they are taken back on the device itself."""
    return dtype in _TYPES


def numbers_of(blocks: Tensor, dtype: str) -> Tensor:
    """float32 [blocks, values] of uint8 [blocks, bytes]."""
    if dtype in _TYPES:
        return _TYPES[dtype](blocks)
    import torch
    from gguf.constants import GGMLQuantizationType
    from gguf.quants import dequantize

    numbers = dequantize(blocks.cpu().numpy(), GGMLQuantizationType[dtype])
    return torch.from_numpy(numbers).to(blocks.device)


def spread(path: Path, told: Told) -> float:
    """Standard deviation of the first blocks of a tensor in a GGUF file; no torch."""
    import numpy as np
    from gguf.constants import GGMLQuantizationType
    from gguf.quants import dequantize

    num_bytes = min(told.num_bytes, _LOOKED_AT * sizes(told.dtype)[1])
    with path.open("rb") as file:
        file.seek(told.start)
        raw = np.frombuffer(file.read(num_bytes), dtype=np.uint8)
    return float(dequantize(raw, GGMLQuantizationType[told.dtype]).std())


def _half(blocks: Tensor) -> Tensor:
    """[blocks, 2 n] uint8 as n numbers of 16 bits, in float32."""
    import torch

    return blocks.contiguous().view(torch.float16).float()


def _shifted(blocks: Tensor, shifts: tuple[int, ...], mask: int, group: int) -> Tensor:
    """[blocks, n] to [blocks, n / group, shifts, group]: the bits of each shift of each group of bytes."""
    import torch

    by = torch.tensor(shifts, dtype=torch.uint8, device=blocks.device).view(1, 1, -1, 1)
    return (blocks.reshape(len(blocks), -1, 1, group) >> by) & mask


def _q4(blocks: Tensor) -> Tensor:
    return _shifted(blocks, (0, 4), 15, 16).reshape(len(blocks), 32)


def _q5(high: Tensor, low: Tensor) -> Tensor:
    """Five bits: the fifth of value i is bit i of four bytes."""
    import torch

    by = torch.arange(8, dtype=torch.uint8, device=high.device)
    fifth = ((high.unsqueeze(-1) >> by) & 1).reshape(len(high), 32)
    return _q4(low) | (fifth << 4)


def _q4_0(blocks: Tensor) -> Tensor:
    return _half(blocks[:, :2]) * (_q4(blocks[:, 2:]).float() - 8)


def _q4_1(blocks: Tensor) -> Tensor:
    return _half(blocks[:, :2]) * _q4(blocks[:, 4:]).float() + _half(blocks[:, 2:4])


def _q5_0(blocks: Tensor) -> Tensor:
    return _half(blocks[:, :2]) * (_q5(blocks[:, 2:6], blocks[:, 6:]).float() - 16)


def _q5_1(blocks: Tensor) -> Tensor:
    return _half(blocks[:, :2]) * _q5(blocks[:, 4:8], blocks[:, 8:]).float() + _half(blocks[:, 2:4])


def _q8_0(blocks: Tensor) -> Tensor:
    import torch

    return blocks[:, 2:].contiguous().view(torch.int8).float() * _half(blocks[:, :2])


def _q2_k(blocks: Tensor) -> Tensor:
    scales, quants, ends = blocks[:, :16], blocks[:, 16:80], _half(blocks[:, 80:84])
    scale = (ends[:, :1] * (scales & 15).float()).unsqueeze(-1)
    least = (ends[:, 1:] * (scales >> 4).float()).unsqueeze(-1)
    values = _shifted(quants, (0, 2, 4, 6), 3, 32).reshape(len(blocks), 16, 16).float()
    return (scale * values - least).reshape(len(blocks), 256)


def _q3_k(blocks: Tensor) -> Tensor:
    import torch

    high, quants, scales = blocks[:, :32], blocks[:, 32:96], blocks[:, 96:108]
    low_bits = _shifted(scales[:, :8], (0, 4), 15, 8).reshape(len(blocks), 16)
    high_bits = _shifted(scales[:, 8:], (0, 2, 4, 6), 3, 4).reshape(len(blocks), 16)
    scale = _half(blocks[:, 108:]) * ((low_bits | (high_bits << 4)).to(torch.int8) - 32).float()
    low = _shifted(quants, (0, 2, 4, 6), 3, 32).reshape(len(blocks), 16, 16)
    third = _shifted(high, tuple(range(8)), 1, 32).reshape(len(blocks), 16, 16) ^ 1
    values = (low.to(torch.int8) - (third << 2).to(torch.int8)).float()
    return (scale.unsqueeze(-1) * values).reshape(len(blocks), 256)


def _scales_of_k(packed: Tensor) -> tuple[Tensor, Tensor]:
    """Eight scales and eight least values of six bits, out of twelve bytes."""
    import torch

    scale, least, rest = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    return (
        torch.cat([scale & 63, (rest & 15) | ((scale >> 2) & 48)], dim=-1),
        torch.cat([least & 63, (rest >> 4) | ((least >> 2) & 48)], dim=-1),
    )


def _k_with_least(blocks: Tensor, values: Tensor) -> Tensor:
    """Values [blocks, 8, 32] by the scales at the begin of a block."""
    ends = _half(blocks[:, :4])
    scale, least = _scales_of_k(blocks[:, 4:16])
    scales, leasts = (ends[:, :1] * scale.float()).unsqueeze(-1), (ends[:, 1:] * least.float()).unsqueeze(-1)
    return (scales * values.float() - leasts).reshape(len(blocks), 256)


def _q4_k(blocks: Tensor) -> Tensor:
    return _k_with_least(blocks, _shifted(blocks[:, 16:], (0, 4), 15, 32).reshape(len(blocks), 8, 32))


def _q5_k(blocks: Tensor) -> Tensor:
    low = _shifted(blocks[:, 48:], (0, 4), 15, 32).reshape(len(blocks), 8, 32)
    fifth = _shifted(blocks[:, 16:48], tuple(range(8)), 1, 32).reshape(len(blocks), 8, 32)
    return _k_with_least(blocks, low | (fifth << 4))


def _q6_k(blocks: Tensor) -> Tensor:
    import torch

    low, high, scales = blocks[:, :128], blocks[:, 128:192], blocks[:, 192:208]
    scale = _half(blocks[:, 208:]) * scales.contiguous().view(torch.int8).float()
    four = _shifted(low, (0, 4), 15, 64).reshape(len(blocks), -1, 32)
    two = _shifted(high, (0, 2, 4, 6), 3, 32).reshape(len(blocks), -1, 32)
    values = ((four | (two << 4)).to(torch.int8) - 32).reshape(len(blocks), 16, 16).float()
    return (scale.unsqueeze(-1) * values).reshape(len(blocks), 256)


_TYPES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "Q4_0": _q4_0,
    "Q4_1": _q4_1,
    "Q5_0": _q5_0,
    "Q5_1": _q5_1,
    "Q8_0": _q8_0,
    "Q2_K": _q2_k,
    "Q3_K": _q3_k,
    "Q4_K": _q4_k,
    "Q5_K": _q5_k,
    "Q6_K": _q6_k,
}
