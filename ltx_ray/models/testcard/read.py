"""Reading the strips back from pixels: numpy only, one frame at a time.

The file may be cropped around the centre and may be a draft, so a reader is made for a size of the uncropped picture
and told where the frame lies in it; cells at a cropped edge are read from what is left of them, as long as that is half
of them. A strip of which less is left is not there: nobody can say that it is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ltx_ray.models.testcard.code import COARSE_SYNC, FINE_SYNC, counters_of, tag_bytes_of
from ltx_ray.models.testcard.layout import Layout, Strip

Frame = NDArray[np.uint8]
#: A strip counts as seen when dark and light cells stand at least this far from the middle grey, on average.
_CONTRAST = 40.0


class Word(NamedTuple):
    """One strip of one frame. ``is_whole`` False: there is no word to be read, and the rest means nothing."""

    is_whole: bool
    counter: int
    tag_byte: int
    flash: bool


NO_WORD = Word(False, -1, -1, False)


def word_of(levels: NDArray[np.float64], sync: tuple[int, int]) -> Word:
    """The word of 32 levels in 0..255."""
    bits = (levels > 127.5).astype(np.uint8)
    whole = tuple(bits[28:30]) == sync and bits[30] == bits[31] and np.abs(levels - 127.5).mean() > _CONTRAST
    if not whole:
        return NO_WORD
    counter, octet = counters_of(bits[None]), tag_bytes_of(bits[None])
    return Word(True, int(counter[0]), int(octet[0]), bool(bits[30]))


@dataclass(frozen=True, slots=True)
class Reader:
    """``offset_x``, ``offset_y``: where the frame's first pixel lies in the uncropped picture."""

    layout: Layout
    offset_x: int
    offset_y: int
    width: int  #: of the frame, which may be a part of the picture
    height: int

    @classmethod
    def whole(cls, layout: Layout) -> Reader:
        """For the picture as it was made, uncropped."""
        return cls(layout, 0, 0, layout.width, layout.height)

    @property
    def sees_coarse(self) -> bool:
        return self._sees(self.layout.coarse)

    @property
    def sees_fine(self) -> bool:
        return self.layout.fine is not None and self._sees(self.layout.fine)

    def coarse(self, frame: Frame) -> Word:
        """NO_WORD where the strip is cut away."""
        return word_of(self._levels(frame, self.layout.coarse), COARSE_SYNC) if self.sees_coarse else NO_WORD

    def fine(self, frame: Frame) -> Word:
        """NO_WORD where the strip is cut away, and on a draft, which has none."""
        if self.layout.fine is None or not self.sees_fine:
            return NO_WORD
        return word_of(self._levels(frame, self.layout.fine), FINE_SYNC)

    def _sees(self, strip: Strip) -> bool:
        """Whether the frame holds at least half of each of the strip's cells, in both directions."""
        half = strip.cell_px // 2
        left, top = strip.rect.left - self.offset_x, strip.rect.top - self.offset_y
        right, bottom = strip.rect.right - self.offset_x, strip.rect.bottom - self.offset_y
        return min(left, top) >= -half and right <= self.width + half and bottom <= self.height + half

    def _levels(self, frame: Frame, strip: Strip) -> NDArray[np.float64]:
        """Mean brightness [32] of the middle of each cell, or of what the crop left of it, 0..255."""
        levels = np.empty(strip.rows * strip.columns)
        margin = strip.cell_px // 4
        for idx in range(len(levels)):
            row, column = divmod(idx, strip.columns)
            left = strip.rect.left + column * strip.cell_px - self.offset_x
            top = strip.rect.top + row * strip.cell_px - self.offset_y
            x0, x1 = max(0, left + margin), min(self.width, left + strip.cell_px - margin)
            y0, y1 = max(0, top + margin), min(self.height, top + strip.cell_px - margin)
            levels[idx] = frame[y0:y1, x0:x1].mean()
        return levels
