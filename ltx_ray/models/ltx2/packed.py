"""Weights that stay as a file has them, and are taken back to numbers where they are used.

Everything of them is held as bytes, so that nothing which changes the type of a module changes them. The arithmetic is
float32, then the type of the input: the same numbers as weights that are taken back while they are loaded.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ltx_ray.models.ltx2.files.gguf_types import numbers_of, sizes
from ltx_ray.models.ltx2.files.quantised import FP4_BLOCK

FLOAT8 = {"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2}
#: The values of four bits: sign, two of the exponent, one of the mantissa.
_FP4 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


class Packed(NamedTuple):
    """A weight of ``shape``; ``data`` are the bytes of the file, uint8 of any shape."""

    kind: Literal["fp8", "fp4", "gguf"]
    dtype: str  #: as the file calls it: "F8_E4M3", "Q4_K"
    shape: tuple[int, ...]
    data: Tensor
    scale: Tensor | None = None  #: the four bytes of a float32 that all values are multiplied with
    block_scales: Tensor | None = None  #: of nvfp4: the byte of a float8 for each FP4_BLOCK values, [rows, blocks]

    def to(self, device: str) -> Packed:
        """On another device."""
        scale = None if self.scale is None else self.scale.to(device)
        block_scales = None if self.block_scales is None else self.block_scales.to(device)
        return self._replace(data=self.data.to(device), scale=scale, block_scales=block_scales)

    def unpacked(self, start: int = 0, stop: int | None = None) -> Tensor:
        """float32 [rows, ...] of rows [start, stop); None = to the last."""
        rows = self.shape[0] if self.shape else 1
        stop = rows if stop is None else stop
        inner = self.shape[1:]
        data = self.data.reshape(rows, -1)[start:stop]
        match self.kind:
            case "fp8":
                numbers = data.view(FLOAT8[self.dtype]).float()
            case "gguf":
                numbers = numbers_of(data.reshape(-1, sizes(self.dtype)[1]), self.dtype)
            case "fp4":
                return self._fp4(data, start, stop)
        numbers = numbers.reshape(stop - start, *inner) if self.shape else numbers.reshape(())
        return numbers if self.scale is None else numbers * self._number(self.scale)

    def _fp4(self, data: Tensor, start: int, stop: int) -> Tensor:
        """Source: dequantize_nvfp4, Comfy-Org/comfy-kitchen float_utils.py: the high half of a byte comes first."""
        assert self.scale is not None and self.block_scales is not None
        sizes_ = torch.tensor((*_FP4, *(-size for size in _FP4)), device=data.device)
        values = sizes_[torch.stack([data >> 4, data & 15], dim=-1).long()]
        scales = self.block_scales[start:stop].view(torch.float8_e4m3fn).float() * self._number(self.scale)
        return (values.reshape(len(data), -1, FP4_BLOCK) * scales.unsqueeze(-1)).reshape(len(data), *self.shape[1:])

    @staticmethod
    def _number(scale: Tensor) -> Tensor:
        return scale.view(torch.float32)


class PackedLinear(torch.nn.Module):
    """A Linear whose weight is packed."""

    data: Tensor
    scale: Tensor | None
    block_scales: Tensor | None

    def __init__(self, packed: Packed, bias: torch.nn.Parameter | None) -> None:
        super().__init__()
        self._kind, self._dtype, self._shape = packed.kind, packed.dtype, packed.shape
        self.out_features, self.in_features = packed.shape
        self.register_buffer("data", packed.data)
        self.register_buffer("scale", packed.scale)
        self.register_buffer("block_scales", packed.block_scales)
        self.bias = bias

    @property
    def packed(self) -> Packed:
        return Packed(self._kind, self._dtype, self._shape, self.data, self.scale, self.block_scales)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.packed.unpacked().to(x.dtype), self.bias)


def in_rows(block_scales: Tensor, rows: int, blocks: int) -> Tensor:
    """Scales of nvfp4 [rows, blocks] out of the tiles of 128 x 4 that matrix units want them in.

    Source: NVIDIA cuBLAS, layout of block scaling factors.
    """
    row_tiles, block_tiles = -(-rows // 128), -(-blocks // 4)
    tiles = block_scales.reshape(row_tiles, block_tiles, 32, 4, 4).permute(0, 3, 2, 1, 4)
    return tiles.reshape(row_tiles * 128, block_tiles * 4)[:rows, :blocks].contiguous()


def as_bytes(tensor: Tensor) -> Tensor:
    """Its bytes, flat."""
    return tensor.contiguous().reshape(-1).view(torch.uint8)
