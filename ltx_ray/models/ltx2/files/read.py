"""Tensors out of a weight file, one by one and in pieces, into the place where they stay.

Beside what stays, memory holds one piece at a time: a checkpoint is as large as the memory of the machine. Files are
read and not mapped, so what was loaded does not change with the file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np
import torch
from torch import Tensor

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.files.header import Header
from ltx_ray.models.ltx2.files.quantised import FP4_BLOCK, Form
from ltx_ray.models.ltx2.packed import FLOAT8, Packed, as_bytes, in_rows

#: Called with a number of bytes whenever so many were read; may raise to stop the loading.
Report = Callable[[int], None]
TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I8": torch.int8,
    "U8": torch.uint8,
    **FLOAT8,
}
_LARGE_BYTES, _ALIGN = 1 << 22, 64
#: So many bytes are read at once, and so many values are converted at once.
_PIECE_BYTES, _PIECE_VALUES = 1 << 24, 1 << 20


def no_report(num_bytes: int) -> None:
    """For whoever does not want to know."""


def empty(shape: Sequence[int], dtype: torch.dtype, device: str) -> Tensor:
    """Memory for a tensor; of the host's in large pages, because touching small ones takes longer than reading a file.

    numpy asks for large pages, torch does not; it begins where torch's own does.
    """
    num_bytes = prod(shape) * dtype.itemsize
    if device != "cpu" or num_bytes < _LARGE_BYTES:
        return torch.empty(tuple(shape), dtype=dtype, device=device)
    room = np.empty(num_bytes + _ALIGN, dtype=np.uint8)
    begin = -room.ctypes.data % _ALIGN
    return torch.from_numpy(room[begin : begin + num_bytes]).view(dtype).view(tuple(shape))


class TensorFile:
    """An open file of weights."""

    def __init__(self, header: Header, report: Report = no_report) -> None:
        self._header, self._report = header, report
        self._piece: Tensor | None = None
        try:
            self._file = header.path.open("rb", buffering=0)
        except OSError as error:
            raise ModelError(f"{header.path}: cannot be read ({error.strerror}); check its path") from None

    def __enter__(self) -> TensorFile:
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()

    def tensor(self, name: str, form: Form, *, dtype: torch.dtype, device: str) -> Tensor:
        """A weight as numbers of ``dtype`` on ``device``."""
        told, shape = self._header.tensors[name], shape_of(self._header, name, form)
        target = empty(shape, dtype, device)
        if form.kind == "plain" and TYPES[told.dtype] == dtype and device == "cpu":
            self._read(told.start, as_bytes(target))
            return target
        scale, block_scales = self._beside(form, shape, device)
        row_bytes = told.num_bytes // max(1, shape[0] if shape else 1)
        for start, stop in _pieces(shape):
            raw = self._room((stop - start) * row_bytes)
            self._read(told.start + start * row_bytes, raw)
            rows = target if not shape else target[start:stop]
            if form.kind == "plain":
                rows.copy_(raw.view(TYPES[told.dtype]).reshape(rows.shape))
            else:
                scales = None if block_scales is None else block_scales[start:stop]
                rows.copy_(Packed(form.kind, told.dtype, tuple(rows.shape), raw.to(device), scale, scales).unpacked())
        return target

    def packed(self, name: str, form: Form, *, device: str) -> Packed:
        """A weight as it is stored."""
        assert form.kind != "plain", f"{name} is not packed"
        shape = shape_of(self._header, name, form)
        scale, block_scales = self._beside(form, shape, device)
        dtype = self._header.tensors[name].dtype
        return Packed(form.kind, dtype, shape, self._raw(name).to(device), scale, block_scales)

    def _beside(self, form: Form, shape: tuple[int, ...], device: str) -> tuple[Tensor | None, Tensor | None]:
        """The bytes of a weight's scale, and of those of its blocks."""
        scale = None if form.scale is None else as_bytes(self._plain(form.scale).float().reshape(())).to(device)
        if form.block_scales is None:
            return scale, None
        return scale, in_rows(self._raw(form.block_scales), shape[0], shape[1] // FP4_BLOCK).to(device)

    def _room(self, num_bytes: int) -> Tensor:
        """For one piece: the same memory each time, because an allocator may keep what is given back."""
        if self._piece is None or self._piece.nbytes < num_bytes:
            self._piece = torch.empty(num_bytes, dtype=torch.uint8)
        return self._piece[:num_bytes]

    def _plain(self, name: str) -> Tensor:
        return self._raw(name).view(TYPES[self._header.tensors[name].dtype])

    def _raw(self, name: str) -> Tensor:
        told = self._header.tensors[name]
        raw = empty((told.num_bytes,), torch.uint8, "cpu")
        self._read(told.start, raw)
        return raw

    def _read(self, start: int, target: Tensor) -> None:
        view = memoryview(target.numpy())  # type: ignore[arg-type]
        self._file.seek(start)
        while view:
            count = self._file.readinto(view[:_PIECE_BYTES])
            if not count:
                raise ModelError(f"{self._header.path}: ended while it was read; fetch it again")
            view = view[count:]
            self._report(count)


def shape_of(header: Header, name: str, form: Form) -> tuple[int, ...]:
    """Of the numbers of a weight, however it is stored."""
    shape = header.tensors[name].shape
    return (shape[0], 2 * shape[1]) if form.kind == "fp4" else shape


def _pieces(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Ranges of rows with at most about _PIECE_VALUES values."""
    if not shape:
        return [(0, 1)]
    values = 1
    for side in shape[1:]:
        values *= side
    step = max(1, _PIECE_VALUES // max(1, values))
    return [(start, min(start + step, shape[0])) for start in range(0, shape[0], step)]
