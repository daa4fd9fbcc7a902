"""The head of a weight file, read and checked by hand: names, types, shapes, places, and what the file says of itself.

safetensors and GGUF, told apart by their first bytes and never by a name. No torch, and nothing is unpickled. A file
whose head and size do not fit together is refused before it is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

from ltx_ray.errors import ModelError

#: As the library of the format has it.
MAX_HEADER_BYTES = 100_000_000
#: What a GGUF file begins with.
GGUF = b"GGUF"
_BITS = {
    **dict.fromkeys(("F64", "I64", "U64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "I8", "U8", "BOOL"), 8),
}
#: What files that must be unpickled begin with: a zip archive, and the protocols of pickle.
_PICKLED = (b"PK\x03\x04", *(bytes([0x80, protocol]) for protocol in range(2, 6)))
_ENDINGS_OF_PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl")


@dataclass(frozen=True, slots=True)
class Told:
    """One tensor."""

    dtype: str  #: the format's name: "BF16", "Q4_0"
    shape: tuple[int, ...]
    start: int = field(compare=False, default=0)  #: where its bytes begin in the file
    num_bytes: int = field(compare=False, default=0)


@dataclass(frozen=True, slots=True)
class Header:
    path: Path
    tensors: Mapping[str, Told]
    metadata: Mapping[str, str]
    is_gguf: bool = False

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
        except (ValueError, RecursionError):
            config = None
        if not isinstance(config, dict):
            raise ModelError(f"{self.path}: its configuration is no JSON object; fetch the file again")
        return config


def read_header(path: Path) -> Header:
    """Read once while the file stays as it is, because everything that looks at a checkpoint asks for it.

    Raises:
        ModelError: the file is not there, is of another format, or is damaged.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error}); check its path") from None
    return _read(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _read(path: Path, size: int, changed_ns: int) -> Header:
    try:
        with path.open("rb") as file:
            begin = file.read(64)
            if begin.startswith(GGUF):
                from ltx_ray.models.ltx2.files.gguf_header import read_gguf

                tensors, metadata = read_gguf(path, file, size)
                return Header(path, tensors, metadata, is_gguf=True)
            length = int.from_bytes(begin[:8], "little")
            if begin[8:9] != b"{":
                raise ModelError(f"{path}: {_what_else(path, begin, size)}")
            if not 2 <= length <= size - 8:
                raise ModelError(f"{path}: is no safetensors file, or is cut off; fetch it again")
            if length > MAX_HEADER_BYTES:
                raise ModelError(f"{path}: has a head of {length / 1e6:.0f} MB, and no model has 100; fetch it again")
            file.seek(8)
            content = file.read(length)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error}); check its path") from None
    try:
        told = json.loads(content, object_pairs_hook=_each_once)
        metadata = _texts(told.pop("__metadata__", {}))
        placed = {name: _tensor(path, name, entry) for name, entry in told.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ModelError(f"{path}: its head is damaged; fetch it again") from None
    check_places(path, ((name, start, stop) for name, (_, _, start, stop) in placed.items()), size - 8 - length)
    begin_of_data = 8 + length
    return Header(
        path,
        {
            name: Told(dtype, shape, begin_of_data + start, stop - start)
            for name, (dtype, shape, start, stop) in placed.items()
        },
        metadata,
    )


def _what_else(path: Path, begin: bytes, size: int) -> str:
    """What a file is that is neither format, and what to do."""
    if begin.startswith(_PICKLED) or path.suffix in _ENDINGS_OF_PICKLES:
        return "is pickled, which can run anything and is never read; get its .safetensors"
    if begin.startswith(b"version https://git-lfs"):
        return "is a pointer that git left in place of the file; run `git lfs pull` there"
    if begin.lstrip()[:9].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "is a web page; download the file itself, signed in if its page asks for it"
    if size == 0:
        return "is empty; fetch it again"
    return "is no safetensors file, or is cut off; fetch it again"


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _texts(told: Mapping[str, Any]) -> dict[str, str]:
    if not all(isinstance(text, str) for text in told.values()):
        raise ValueError("metadata is no text")
    return dict(told)


_Placed = tuple[str, tuple[int, ...], int, int]


def _tensor(path: Path, name: str, entry: Mapping[str, Any]) -> _Placed:
    """Type, shape, and where it begins and ends."""
    (start, stop), shape, dtype = entry["data_offsets"], tuple(entry["shape"]), entry["dtype"]
    if any(type(number) is not int or number < 0 for number in (start, stop, *shape)) or not isinstance(dtype, str):
        raise ValueError
    if dtype not in _BITS:
        raise ModelError(f"{path}: {name} is of type {dtype}, which is not read; take a file in bf16")
    if prod(shape) * _BITS[dtype] != 8 * (stop - start):
        raise ValueError
    return dtype, shape, start, stop


def check_places(path: Path, placed: Iterable[tuple[str, int, int]], num_bytes: int, *, align: int = 1) -> None:
    """Raise ModelError unless tensors lie one after another, each at the next multiple of ``align``, and fill a file.

    Args:
        placed: name, begin and end of each tensor in the ``num_bytes`` of data.
    """
    end = 0
    for name, start, stop in sorted(placed, key=lambda each: each[1:]):
        if start != -(-end // align) * align or stop < start:
            raise ModelError(f"{path}: {name} overlaps another tensor or leaves a gap; fetch the file again")
        end = stop
    if not end <= num_bytes < end + align:
        what = "is cut off" if end > num_bytes else "has bytes that are no tensor"
        raise ModelError(f"{path}: {what}: its head tells of {end} bytes, and {num_bytes} are there; fetch it again")
