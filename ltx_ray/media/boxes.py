"""The parts that a file of the MP4 family is made of, and whether one of them is cut off."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ltx_ray.media.beat import beat

_NAME = re.compile(rb"[ -~\xa9]{4}")


class Box(NamedTuple):
    kind: bytes
    start: int
    stop: int  #: which may lie after the file's end


@dataclass(frozen=True, slots=True)
class Boxes:
    """``cut`` is the part that reaches over the end of the file; bytes after the film are none."""

    size: int
    whole: tuple[Box, ...]
    cut: Box | None

    def first(self, kind: bytes) -> int:
        """Where the first whole part of this kind is; the file's size if there is none."""
        return next((box.start for box in self.whole if box.kind == kind), self.size)

    @property
    def has_fragments(self) -> bool:
        """Whether pictures and their index come in pieces, of which those before a cut can be read."""
        return self.first(b"moof") < self.size


def is_mp4(path: Path) -> bool:
    """Whether the file begins as one of the MP4 family; raises OSError."""
    with path.open("rb") as file:
        return file.read(8)[4:] in (b"ftyp", b"styp", b"moov")


def boxes_of(path: Path) -> Boxes:
    """The parts of the file; raises OSError."""
    size = path.stat().st_size
    found = list(_walk(path, size))
    whole = tuple(box for box in found if box.stop <= size)
    boxes = Boxes(size, whole, None)
    is_film = max(boxes.first(b"moov"), boxes.first(b"mdat")) < size
    cut = found[-1] if len(whole) < len(found) else None
    # What looks like no part, after index and pictures, was put behind the film by somebody else.
    is_part = cut is not None and _NAME.fullmatch(cut.kind) is not None and (boxes.has_fragments or not is_film)
    return Boxes(size, whole, cut if is_part or not is_film else None)


def _walk(path: Path, size: int) -> Iterator[Box]:
    """Parts in order, up to the first that reaches over the end or is none."""
    offset = 0
    with path.open("rb") as file:
        while offset + 8 <= size:
            beat()
            file.seek(offset)
            length, kind = struct.unpack(">I4s", file.read(8))
            if length == 1 and offset + 16 <= size:
                length = struct.unpack(">Q", file.read(8))[0]
            length = length or size - offset
            if length < 8 or not _NAME.fullmatch(kind):
                yield Box(kind, offset, size + 1)
                return
            yield Box(kind, offset, offset + length)
            offset += length
