"""Quantised weights, taken back to numbers as they are read: float8 with a scale for each weight, or without.

    official scaled fp8       X.weight float8, X.weight_scale, X.input_scale (for a matrix product in float8: not used)
    ComfyUI, older            the same as X.scale_weight and X.scale_input, with a marker ``scaled_fp8``
    ComfyUI, newer            the same as the official ones, with the format in X.comfy_quant
    plain cast                X.weight and X.bias float8, no scales

A weight is float8 * scale, in float32. Whatever else looks quantised is refused by name: a scale that is not understood
makes weights a thousand times too large.
Source: ltx_core fp8 loaders, Lightricks/LTX-2@400fd31; comfy/utils.py convert_old_quants, comfyanonymous/ComfyUI.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from ltx_ray.models.ltx2.files.header import Header

FLOAT8 = ("F8_E4M3", "F8_E5M2")
PLAIN = ("BF16", "F32", "F16")
_SCALES = (".weight_scale", ".scale_weight")
_NOT_USED = (".input_scale", ".scale_input")
_MARKER, _FORMAT = "scaled_fp8", ".comfy_quant"
#: What the newer files of ComfyUI call what is read here.
_FORMATS = ("float8_e4m3fn", "float8_e5m2")


def is_beside(name: str) -> bool:
    """Whether a tensor only says how others are quantised."""
    return name.endswith((*_SCALES, *_NOT_USED, _FORMAT)) or name.rpartition(".")[2] == _MARKER


def why_not_read(header: Header, names: Collection[str]) -> str | None:
    """What of these tensors of a file is quantised in a way that is not understood; None = nothing."""
    for name in names:
        told = header.tensors[name]
        if name.endswith(_FORMAT):
            if (form := _format_of(header, name)) not in _FORMATS:
                return f"{name.removesuffix(_FORMAT)} is quantised as {form!r}"
        elif is_beside(name):
            if told.shape not in ((), (1,)) and name.rpartition(".")[2] != _MARKER:
                return f"{name} is a scale of shape {list(told.shape)}, not one number"
        elif "scale" in (last := name.rpartition(".")[2]) and "scale_shift_table" not in last:
            return f"{name} is a scale that is not understood"
        elif told.dtype not in (*PLAIN, *FLOAT8):
            return f"{name} is {told.dtype}"
    return None


def _format_of(header: Header, name: str) -> str:
    told = header.tensors[name]
    with header.path.open("rb") as file:
        file.seek(told.start)
        try:
            form = json.loads(file.read(min(told.num_bytes, 10_000)))
        except ValueError:
            return "unreadable"
    return str(form.get("format")) if isinstance(form, dict) else "unreadable"


def read_weight(file: Any, name: str, names: Collection[str]) -> Any:
    """A tensor of an open safetensors file; float32 where it was quantised."""
    tensor = file.get_tensor(name)
    if tensor.element_size() > 1:
        return tensor
    base = name.removesuffix(".weight")
    scale = next((file.get_tensor(base + each) for each in _SCALES if name != base and base + each in names), None)
    weight = tensor.float()
    return weight if scale is None else weight * scale.float()
