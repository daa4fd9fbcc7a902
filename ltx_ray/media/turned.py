"""How a player turns and mirrors a frame: the display matrix of the file, in all its eight ways."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple, cast

import numpy as np
from av.sidedata.sidedata import SideData, Type
from av.video.frame import VideoFrame


class Turn(NamedTuple):
    """Rows and columns are exchanged first, then the sides."""

    is_transposed: bool = False
    mirrors_across: bool = False  #: left and right
    mirrors_down: bool = False

    def of(self, picture: np.ndarray) -> np.ndarray:
        """A view of ``picture`` [height, width, 3] as it is shown."""
        turned = picture.transpose(1, 0, 2) if self.is_transposed else picture
        return turned[:: -1 if self.mirrors_down else 1, :: -1 if self.mirrors_across else 1]


def turn_of(frame: VideoFrame) -> Turn:
    """By the frame's display matrix: a point (x, y) is shown at (a x + c y, b x + d y)."""
    side_data = cast(Mapping[Type, SideData], frame.side_data)
    matrix = side_data.get(Type.DISPLAYMATRIX)
    if matrix is None:
        return Turn()
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(matrix)[:36])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Turn(False, a < 0, d < 0)
    return Turn(True, c < 0, b < 0)
