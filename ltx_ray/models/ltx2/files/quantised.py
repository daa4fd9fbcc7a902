"""Which of a file's tensors are quantised weights, and what belongs to each; what is not understood is refused by name.

    official scaled fp8       X.weight float8, X.weight_scale, X.input_scale (for a matrix product in float8: not used)
    ComfyUI, older            the same as X.scale_weight and X.scale_input, with a marker ``scaled_fp8``
    ComfyUI, newer            the same as the official ones, with the format in X.comfy_quant
    plain cast                X.weight and X.bias float8, no scales
    nvfp4 (text encoders)     X.weight two values a byte, X.weight_scale a float8 for 16 values, X.weight_scale_2
    GGUF                      blocks of the type that the head names

A scale that is not understood makes weights a thousand times too large, so every tensor that looks like one is either
consumed here or an error. No torch.
Source: ltx_core fp8 loaders, Lightricks/LTX-2@400fd31; comfy/utils.py convert_old_quants and comfy_kitchen, Comfy-Org.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, Literal, NamedTuple

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.files.header import Header

FLOAT8 = ("F8_E4M3", "F8_E5M2")
PLAIN = ("BF16", "F32", "F16", "F64")
#: Values that share a scale in nvfp4.
FP4_BLOCK = 16
_SCALES = (".weight_scale", ".scale_weight")
_NOT_USED = (".input_scale", ".scale_input")
_SECOND = ".weight_scale_2"
_MARKER, _FORMAT = "scaled_fp8", ".comfy_quant"
_LAYERS = "_quantization_metadata"
#: What the newer files of ComfyUI call what is read here.
_FP8_FORMATS, _FP4_FORMAT = ("float8_e4m3fn", "float8_e5m2"), "nvfp4"

Kind = Literal["plain", "fp8", "fp4", "gguf"]


class Form(NamedTuple):
    """How a weight is stored."""

    kind: Kind
    scale: str | None = None  #: tensor of one number that all values are multiplied with
    block_scales: str | None = None  #: tensor of one number for each FP4_BLOCK values


def is_beside(name: str) -> bool:
    """Whether a tensor only says how others are quantised."""
    return name.endswith((*_SCALES, *_NOT_USED, _SECOND, _FORMAT)) or name.rpartition(".")[2] == _MARKER


def forms(header: Header, names: Collection[str], *, with_fp4: bool = False) -> dict[str, Form]:
    """How each weight among these tensors of a file is stored; scales and markers are none.

    Args:
        with_fp4: nvfp4 is read, as in text encoders.

    Raises:
        ModelError: one is quantised in a way that is not understood.
    """
    if header.is_gguf:
        return {name: _gguf(header, name) for name in names}
    formats = _formats(header, names, with_fp4=with_fp4)
    found = {name: _form(header, name, formats) for name in names if not is_beside(name)}
    used = {each for form in found.values() for each in (form.scale, form.block_scales)}
    for name in names:
        if name.endswith((*_SCALES, _SECOND)) and name not in used:
            raise _refused(header, f"{name} is a scale of nothing that is quantised")
    return found


def _form(header: Header, name: str, formats: Mapping[str, str]) -> Form:
    told, layer = header.tensors[name], name.removesuffix(".weight")
    if "scale" in (last := name.rpartition(".")[2]) and "scale_shift_table" not in last:
        raise _refused(header, f"{name} is a scale that is not understood")
    scale = next((layer + end for end in _SCALES if layer != name and layer + end in header.tensors), None)
    if formats.get(layer) == _FP4_FORMAT and layer != name:
        second = layer + _SECOND
        if told.dtype != "U8" or len(told.shape) != 2 or scale is None or not _is_number(header, second):
            raise _refused(header, f"{layer} is quantised as nvfp4, and its scales are not those of it")
        rows, blocks = told.shape[0], 2 * told.shape[1] // FP4_BLOCK
        padded = (-(-rows // 128) * 128, -(-blocks // 4) * 4)
        if header.tensors[scale].dtype != "F8_E4M3" or tuple(header.tensors[scale].shape) != padded:
            raise _refused(header, f"{scale} is {list(header.tensors[scale].shape)}, and nvfp4 wants {list(padded)}")
        return Form("fp4", second, scale)
    if told.dtype in FLOAT8:
        if scale is not None and not _is_number(header, scale):
            raise _refused(header, f"{scale} is a scale of shape {list(header.tensors[scale].shape)}, not one number")
        return Form("fp8", scale)
    if told.dtype not in PLAIN:
        raise _refused(header, f"{name} is {told.dtype}")
    return Form("plain")


def _is_number(header: Header, name: str) -> bool:
    return name in header.tensors and header.tensors[name].shape in ((), (1,))


def _formats(header: Header, names: Collection[str], *, with_fp4: bool) -> dict[str, str]:
    """The format of each layer that says one, from tensors beside it or from the head."""
    found = {}
    for name in names:
        if name.endswith(_FORMAT):
            found[name.removesuffix(_FORMAT)] = _read_format(header, name)
    try:
        layers = json.loads(header.metadata.get(_LAYERS, "{}")).get("layers", {})
        found |= {layer: str(told["format"]) for layer, told in layers.items() if f"{layer}.weight" in names}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ModelError(f"{header.path}: {_LAYERS} cannot be read; fetch the file again") from None
    known = (*_FP8_FORMATS, _FP4_FORMAT) if with_fp4 else _FP8_FORMATS
    for layer, form in found.items():
        if form not in known:
            raise _refused(header, f"{layer} is quantised as {form!r}")
    return found


def _read_format(header: Header, name: str) -> str:
    told = header.tensors[name]
    with header.path.open("rb") as file:
        file.seek(told.start)
        try:
            form: Any = json.loads(file.read(min(told.num_bytes, 10_000)))
        except (ValueError, RecursionError):
            return "unreadable"
    return str(form.get("format")) if isinstance(form, dict) else "unreadable"


def _gguf(header: Header, name: str) -> Form:
    from ltx_ray.models.ltx2.files.gguf_types import is_read

    dtype = header.tensors[name].dtype
    if dtype in PLAIN:
        return Form("plain")
    if not is_read(dtype):
        raise _refused(header, f"{name} is {dtype}")
    return Form("gguf")


def _refused(header: Header, what: str) -> ModelError:
    return ModelError(f"{header.path}: {what}, which is not read; take a file in bf16, in scaled fp8 or a GGUF")
