"""The moving figures: frame number and timecode; the alarm when the strips contradict each other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from PIL import Image, ImageDraw

from ltx_ray.models.testcard.caption import Caption
from ltx_ray.models.testcard.ground import text_size
from ltx_ray.models.testcard.layout import Layout, Rect
from ltx_ray.models.testcard.palette import ALARM, INK, INK_FAINT, INK_SOFT, RGB
from ltx_ray.models.testcard.read import Word
from ltx_ray.models.testcard.words import fitted_size, glyph, width_of, write


@dataclass(frozen=True, slots=True)
class Reading:
    """What a frame's strips say together. ``frame`` is the coarse counter, None without signal."""

    state: Literal["good", "mismatch", "no signal"]
    frame: int | None
    fine: int | None
    flash: bool

    @classmethod
    def of(cls, coarse: Word, fine: Word, *, has_fine: bool) -> Reading:
        """Strips agree when number and tag do; a draft has only one strip to ask."""
        frame = coarse.counter if coarse.is_whole else None
        other = fine.counter if fine.is_whole else None
        if frame is None or (has_fine and other is None):
            return cls("no signal", frame, other, False)
        agrees = not has_fine or (coarse.counter, coarse.tag_byte) == (fine.counter, fine.tag_byte)
        return cls("good" if agrees else "mismatch", frame, other, coarse.flash)


def first_of_second(frame: int, frame_rate: Fraction) -> int:
    """The first frame that begins in the same second as ``frame``."""
    return math.ceil(frame // frame_rate * frame_rate)


def timecode(frame: int, frame_rate: Fraction) -> str:
    """Real time of a frame's start, HH:MM:SS, then the frame's number within its second."""
    seconds = frame // frame_rate
    within = frame - first_of_second(frame, frame_rate)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}:{within:02}"


def draw_figures(picture: Image.Image, layout: Layout, reading: Reading, caption: Caption | None) -> None:
    """Frame number large, timecode under it; side by side where there is no height."""
    rect = layout.figures
    number = "------" if reading.frame is None else f"{reading.frame:06}"
    colour = INK if reading.state == "good" else ALARM
    time = timecode(reading.frame, caption.frame_rate) if caption and reading.frame is not None else "--:--:--:--"
    if not layout.clock.radius:
        size = _row_size("000000", rect.width, int(rect.height * 1.12))
        _draw_row(picture, number, rect.left, rect.top - size // 9, size, colour)
        return
    room = rect.height - int(text_size(layout) * 1.3)
    size = _row_size("000000", rect.width, int(room * 0.60))
    small = _row_size("00:00:00:00", rect.width, int(size * 0.52))
    top = rect.top + max(0, (room - size - small - small // 5) // 2)
    draw, unit = ImageDraw.Draw(picture), max(7, int(text_size(layout) * 0.8))
    for text, height, at, tone, name in (
        (number, size, top, colour, "frame"),
        (time, small, top + size + small // 5, INK_SOFT, "h:m:s:frame"),
    ):
        right = _draw_row(picture, text, rect.left - height // 24, at, height, tone)
        if right + width_of(name, unit) + unit < rect.right:
            write(draw, (right + unit * 0.6, at + height * 0.86), name, unit, INK_FAINT)


def _row_size(text: str, width: int, largest: int) -> int:
    """The largest size at which a row of figures is no wider than ``width``."""
    size = max(8, largest)
    while size > 8 and sum(_advance(letter, size) for letter in text) > width:
        size -= 1
    return size


def _advance(letter: str, size: int) -> int:
    """All figures are equally wide, or they would dance."""
    return int(width_of(":", size) * 1.5) if letter == ":" else math.ceil(width_of("0", size) * 1.03)


def _draw_row(picture: Image.Image, text: str, left: int, top: int, size: int, colour: RGB) -> int:
    """Figures in columns of one width, their feet on one line; returns where the row ends."""
    for letter in text:
        width = _advance(letter, size)
        picture.paste(colour, (left, top), glyph(letter, size, width, size))
        left += width
    return left


def draw_alarm(picture: Image.Image, layout: Layout, reading: Reading) -> None:
    """A red bar over the moving bars, naming what is wrong."""
    if reading.state == "good":
        return
    bars = layout.bars
    text = "NO SIGNAL"
    if reading.state == "mismatch":
        text = f"MISMATCH  coarse {reading.frame:06}  fine {reading.fine:06}"
    draw = ImageDraw.Draw(picture)
    draw.rectangle((bars.left, bars.top, bars.right - 1, bars.bottom - 1), fill=ALARM)
    room = Rect(bars.left, bars.top, int(bars.width * 0.9), bars.height)
    size = fitted_size(text, room.width, int(bars.height * 0.55), 7)
    centre = (bars.left + bars.width / 2, bars.top + bars.height / 2)
    write(draw, centre, text, size, INK, anchor="mm")
