"""The head of a safetensors file, read and checked by hand: names, types, shapes and what it says of itself.

No torch, and nothing is unpickled. A file whose head and size do not fit together is refused before it is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from ltx_ray.errors import ModelError

#: As the library of the format has it.
MAX_HEADER_BYTES = 100_000_000
_BITS = {
    **dict.fromkeys(("F64", "I64", "U64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "I8", "U8", "BOOL"), 8),
}
#: What files that must be unpickled begin with: a zip archive, and the two protocols of pickle.
_PICKLED = (b"PK\x03\x04", b"\x80\x02", b"\x80\x04")


@dataclass(frozen=True, slots=True)
class Told:
    """One tensor."""

    dtype: str  #: the format's name: "BF16"
    shape: tuple[int, ...]
    start: int = field(compare=False, default=0)  #: where its bytes begin in the file
    num_bytes: int = field(compare=False, default=0)


@dataclass(frozen=True, slots=True)
class Header:
    path: Path
    tensors: Mapping[str, Told]
    metadata: Mapping[str, str]

    @property
    def config(self) -> Mapping[str, Any] | None:
        """The configuration in it; None = it has none.

        Raises:
            ModelError: it has one that is no JSON.
        """
        if (text := self.metadata.get("config")) is None:
            return None
        try:
            config = json.loads(text)
        except ValueError:
            config = None
        if not isinstance(config, dict):
            raise ModelError(f"{self.path}: its configuration is no JSON object; fetch the file again")
        return config


def read_header(path: Path) -> Header:
    """Raises ModelError: the file is not there, is of another format, or is damaged."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            begin = file.read(8)
            length = int.from_bytes(begin, "little")
            if begin.startswith(_PICKLED):
                raise ModelError(f"{path}: is pickled, which can run anything and is never read; get its .safetensors")
            if len(begin) < 8 or not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
                raise ModelError(f"{path}: is no safetensors file, or is cut off; fetch it again")
            content = file.read(length)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error}); check its path") from None
    try:
        told = json.loads(content)
        metadata = told.pop("__metadata__", {})
        tensors = {name: _tensor(entry) for name, entry in told.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ModelError(f"{path}: its head is damaged; fetch it again") from None
    _check_places(path, [tensors[name] + (name,) for name in tensors], size - 8 - length)
    begin_of_data = 8 + length
    return Header(
        path,
        {
            name: Told(dtype, shape, begin_of_data + start, stop - start)
            for name, (dtype, shape, start, stop) in tensors.items()
        },
        metadata,
    )


_Placed = tuple[str, tuple[int, ...], int, int]


def _tensor(entry: Mapping[str, Any]) -> _Placed:
    """Type, shape, and where it begins and ends."""
    start, stop = entry["data_offsets"]
    dtype, shape = str(entry["dtype"]), tuple(int(side) for side in entry["shape"])
    if dtype in _BITS and prod(shape) * _BITS[dtype] != 8 * (stop - start):
        raise ValueError
    return dtype, shape, int(start), int(stop)


def _check_places(path: Path, placed: list[tuple[str, tuple[int, ...], int, int, str]], num_bytes: int) -> None:
    """Tensors lie one after another and fill the file."""
    end = 0
    for _, _, start, stop, name in sorted(placed, key=lambda each: (each[2], each[3])):
        if start != end or stop < start:
            raise ModelError(f"{path}: {name} overlaps another tensor or leaves a gap; fetch the file again")
        end = stop
    if end != num_bytes:
        what = "is cut off" if end > num_bytes else "has bytes that are no tensor"
        raise ModelError(f"{path}: {what}: its head tells of {end} bytes, and {num_bytes} are there; fetch it again")
