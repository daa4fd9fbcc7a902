"""The head of a GGUF file, version 2 or 3, as ComfyUI-GGUF and the tools after it write them.

Every count and offset is checked against the size of the file before it is used. Shapes are turned to the order of
torch; where a tool had to change one, it says the original.
Source: ggml-org/ggml docs/gguf.md; comfy.gguf.orig_shape of city96/ComfyUI-GGUF@795e451.
"""

from __future__ import annotations

import struct
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.files.header import Told, check_places

_VERSIONS = (2, 3)
_MAX_TENSORS, _MAX_VALUES, _MAX_TEXT, _MAX_ITEMS, _MAX_DIMS = 100_000, 100_000, 1 << 24, 1 << 20, 8
_ALIGNMENT = 32
_ORIGINAL_SHAPE = "comfy.gguf.orig_shape."
#: What tools write for this model; the others say nothing of it, and keys decide.
_ARCHITECTURES = ("ltxv", "None", "pig", "cow", "")
#: Types of values: struct's letter, by the format's number.
_NUMBERS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY = 8, 9


class _Damaged(Exception):
    pass


class _Reader:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def number(self, letter: str) -> Any:
        size = struct.calcsize(f"<{letter}")
        (value,) = struct.unpack(f"<{letter}", self.bytes(size))
        return value

    def bytes(self, count: int) -> bytes:
        content = self._file.read(count)
        if len(content) != count:
            raise _Damaged
        return content

    def count(self, most: int) -> int:
        value: int = self.number("Q")
        if value > most:
            raise _Damaged
        return value

    def text(self) -> str:
        return self.bytes(self.count(_MAX_TEXT)).decode("utf-8", errors="strict")

    def value(self, kind: int) -> Any:
        if kind in _NUMBERS:
            return self.number(_NUMBERS[kind])
        if kind == _TEXT:
            return self.text()
        if kind != _ARRAY:
            raise _Damaged
        inner: int = self.number("I")
        if inner == _ARRAY:
            raise _Damaged
        return [self.value(inner) for _ in range(self.count(_MAX_ITEMS))]


def read_gguf(path: Path, file: BinaryIO, size: int) -> tuple[dict[str, Told], dict[str, str]]:
    """Tensors and texts of an open file of ``size`` bytes.

    Raises:
        ModelError: it is damaged, of another version, or of another model.
    """
    file.seek(4)
    reader = _Reader(file)
    try:
        version = reader.number("I")
        if version not in _VERSIONS:
            raise ModelError(f"{path}: is GGUF of version {version}; take one of version 3")
        num_tensors, num_values = reader.count(_MAX_TENSORS), reader.count(_MAX_VALUES)
        values = {}
        for _ in range(num_values):
            name, kind = reader.text(), reader.number("I")
            values[name] = reader.value(kind)
        told = [_tensor(reader) for _ in range(num_tensors)]
    except (_Damaged, UnicodeDecodeError, struct.error, MemoryError):
        raise ModelError(f"{path}: its head is damaged; fetch it again") from None
    architecture = str(values.get("general.architecture", ""))
    if architecture not in _ARCHITECTURES:
        raise ModelError(f"{path}: is a GGUF of {architecture}; take one of LTX-2 (ltxv)")
    align = values.get("general.alignment", _ALIGNMENT)
    if type(align) is not int or not 0 < align <= 1 << 16 or len({name for name, *_ in told}) != len(told):
        raise ModelError(f"{path}: its head is damaged; fetch it again")
    begin = -(-file.tell() // align) * align
    placed = [(name, start, start + _num_bytes(path, name, kind, shape)) for name, kind, shape, start in told]
    check_places(path, placed, max(0, size - begin), align=align)
    tensors = {}
    for (name, kind, shape, _), (_, start, stop) in zip(told, placed, strict=True):
        original = values.get(f"{_ORIGINAL_SHAPE}{name}", shape)
        if not _is_shape(original) or prod(original) != prod(shape):
            raise ModelError(f"{path}: {name} has two shapes that do not agree; fetch the file again")
        tensors[name] = Told(GGMLQuantizationType(kind).name, tuple(original), begin + start, stop - start)
    return tensors, {name: value for name, value in values.items() if isinstance(value, str)}


_Tensor = tuple[str, int, tuple[int, ...], int]


def _tensor(reader: _Reader) -> _Tensor:
    """Name, number of the type, shape in the order of torch, and where it begins in the data."""
    name, num_dims = reader.text(), reader.number("I")
    if num_dims > _MAX_DIMS:
        raise _Damaged
    shape = tuple(reader.number("Q") for _ in range(num_dims))
    if any(side > 1 << 40 for side in shape):
        raise _Damaged
    return name, reader.number("I"), shape[::-1], reader.number("Q")


def _is_shape(value: object) -> bool:
    return isinstance(value, list | tuple) and all(type(side) is int and side >= 0 for side in value)


def _num_bytes(path: Path, name: str, kind: int, shape: tuple[int, ...]) -> int:
    try:
        block, num_bytes = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
    except (ValueError, KeyError):
        raise ModelError(f"{path}: {name} is of type {kind}, which is not read; take Q8_0, Q6_K or Q4_K") from None
    row = shape[-1] if shape else 1
    if row % block:
        raise ModelError(f"{path}: {name} has rows of {row}, which hold no blocks of {block}; fetch the file again")
    return prod(shape) // block * num_bytes
