"""Where everything stands on the card: a pure function of the picture's size, shared by painter and reader.

A word has 32 cells. The coarse strip is made of stage-1 cells, 16 px in the finished picture and a multiple of that on
large ones; the fine strip of 8 px cells. Both are inset, so a centred crop to an odd delivery size leaves them whole
(at 128 px there is no room for that). Everything a machine reads is aligned to the cells of its stage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

CELL_PX = 8
WORD_CELLS = 32


class Rect(NamedTuple):
    """Pixels [left, left + width) x [top, top + height)."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.left + self.width

    @property
    def bottom(self) -> int:
        return self.top + self.height

    @property
    def box(self) -> tuple[int, int, int, int]:
        return self.left, self.top, self.right, self.bottom

    def scaled_down(self, divisor: int) -> Rect:
        """The same place in units of ``divisor`` pixels; all four must divide."""
        assert not any(value % divisor for value in self), (self, divisor)
        return Rect(*(value // divisor for value in self))


class Strip(NamedTuple):
    """A word's cells, row by row."""

    rect: Rect
    rows: int
    cell_px: int

    @property
    def columns(self) -> int:
        return WORD_CELLS // self.rows

    def scaled_down(self, divisor: int) -> Strip:
        return Strip(self.rect.scaled_down(divisor), self.rows, self.cell_px // divisor)


class Clock(NamedTuple):
    centre_x: int
    centre_y: int
    radius: int  #: 0 = no room for a clock


@dataclass(frozen=True, slots=True)
class Layout:
    """``fine`` is None on a draft, the half-size picture that stage 1 makes."""

    width: int
    height: int
    coarse: Strip
    fine: Strip | None
    bars: Rect  #: the moving colour bars, aligned to stage-1 cells
    clock: Clock
    head: Rect  #: video id and prompt
    figures: Rect  #: frame number and timecode


def card_layout(width: int, height: int) -> Layout:
    """The finished picture; both sides are multiples of 32 and at least 128."""
    coarse, fine = _strips(width, height)
    room = Rect(0, 0, width, coarse.rect.top)
    if width * 10 >= height * 9:
        return _landscape(room, height, coarse, fine)
    return _portrait(room, height, coarse, fine)


def draft_layout(width: int, height: int) -> Layout:
    """The picture stage 1 makes: the finished one at half size, without a fine strip."""
    full = card_layout(2 * width, 2 * height)
    clock = Clock(*(value // 2 for value in full.clock))
    bars, head, figures = (_halved(rect) for rect in (full.bars, full.head, full.figures))
    return Layout(width, height, full.coarse.scaled_down(2), None, bars, clock, head, figures)


def _halved(rect: Rect) -> Rect:
    return Rect(*(value // 2 for value in rect))


def _strips(width: int, height: int) -> tuple[Strip, Strip]:
    unit = max(1, min(width, height) // 512)
    rows = next((rows for rows in (1, 2) if (WORD_CELLS // rows + 2) * 16 * unit <= width), 4)
    fine_rows = max(1, rows // 2)
    tight = height < 192
    inset = 0 if tight else 16 if height < 448 else max(32, 16 * unit)
    fine_height = fine_rows * CELL_PX * unit
    fine_top = height - inset - fine_height
    coarse_height = rows * 16 * unit
    coarse_top = _down_to(fine_top - (0 if tight else CELL_PX * unit) - coarse_height, 16)
    coarse_width = WORD_CELLS // rows * 16 * unit
    left = _down_to((width - coarse_width) // 2, 16)
    coarse = Strip(Rect(left, coarse_top, coarse_width, coarse_height), rows, 16 * unit)
    fine_width = WORD_CELLS // fine_rows * CELL_PX * unit
    return coarse, Strip(Rect(left, fine_top, fine_width, fine_height), fine_rows, CELL_PX * unit)


def _landscape(room: Rect, height: int, coarse: Strip, fine: Strip) -> Layout:
    """Words left, clock right, the bars run behind the clock from edge to edge."""
    margin = max(4, min(room.width, height) // 20)
    bars_top = _down_to(int(room.height * 0.46), 16)
    bars = Rect(0, bars_top, room.width, max(16, _down_to(int(room.height * 0.22), 16)))
    radius = min(int(room.height * 0.36), room.width // 5) if room.height >= 96 and room.width >= 256 else 0
    words_right = room.width - margin
    clock = Clock(0, 0, 0)
    if radius:
        clock = Clock(room.width - radius - 2 * margin, bars.top + bars.height // 2 - margin // 3, radius)
        words_right = clock.centre_x - radius - margin
    top = margin if radius else 2
    head = Rect(margin, top, words_right - margin, bars.top - margin // 2 - top)
    foot = room.height - coarse.cell_px // 2 - margin // 2
    figures_top = bars.bottom + margin // 3
    figures = Rect(margin, figures_top, words_right - margin, foot - figures_top)
    return Layout(room.width, height, coarse, fine, bars, clock, head, figures)


def _portrait(room: Rect, height: int, coarse: Strip, fine: Strip) -> Layout:
    """Words on top, clock in the middle on the bars, figures below."""
    margin = max(4, room.width // 18)
    wide = room.width - 2 * margin
    if room.height < 160 or room.width < 192:
        bars_top = max(16, _down_to(int(room.height * 0.40), 16))
        bars = Rect(0, bars_top, room.width, 16)
        head = Rect(margin, 2, wide, bars.top - 3)
        figures = Rect(margin, bars.bottom, wide, min(room.height - bars.bottom, 64))
        return Layout(room.width, height, coarse, fine, bars, Clock(0, 0, 0), head, figures)
    bars_height = max(16, _down_to(int(room.height * 0.17), 16))
    bars = Rect(0, _down_to(int(room.height * 0.43), 16), room.width, bars_height)
    radius = min(int(room.width * 0.36), int(room.height * 0.23))
    clock = Clock(room.width // 2, bars.top + bars.height // 2, radius)
    head = Rect(margin, margin, wide, clock.centre_y - radius - 2 * margin)
    below = clock.centre_y + radius + margin // 2
    foot = room.height - coarse.cell_px // 2 - margin // 2
    figures = Rect(margin, below, wide, foot - below)
    return Layout(room.width, height, coarse, fine, bars, clock, head, figures)


def _down_to(value: int, step: int) -> int:
    return value // step * step
