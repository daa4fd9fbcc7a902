"""A weight that was changed, stored again in the form that it had."""

from __future__ import annotations

import torch
from gguf.constants import GGMLQuantizationType
from gguf.quants import quantize
from torch import Tensor

from ltx_ray.models.ltx2.files.gguf_types import sizes
from ltx_ray.models.ltx2.packed import Packed, as_bytes

_LARGEST = torch.finfo(torch.float8_e4m3fn).max
#: The library writes no K-types; of its others this one loses least.
_GGUF = "Q8_0"


def repacked(weight: Tensor, kind: str, *, is_scaled: bool) -> Packed | None:
    """A float32 weight [rows, columns] as float8 or as blocks of GGUF; None = its rows hold no whole blocks.

    Args:
        is_scaled: float8 gets a new scale, the largest value over 448, as the official code gives it.
    """
    shape = tuple(weight.shape)
    if kind == "gguf":
        if shape[-1] % sizes(_GGUF)[0]:
            return None
        blocks = quantize(weight.cpu().numpy(), GGMLQuantizationType[_GGUF])
        return Packed("gguf", _GGUF, shape, torch.from_numpy(blocks).reshape(-1).to(weight.device))
    scale = None
    if is_scaled:
        scale = (weight.abs().max() / _LARGEST).clamp(min=torch.finfo(torch.float32).tiny)
        weight = weight / scale
    # What is too large would become NaN.
    data = as_bytes(weight.clamp(-_LARGEST, _LARGEST).to(torch.float8_e4m3fn))
    return Packed("fp8", "F8_E4M3", shape, data, None if scale is None else as_bytes(scale.reshape(())))
