"""The moving figures: frame number and timecode; the alarm when the strips contradict each other."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from PIL import Image, ImageDraw

from ltx_ray.models.testcard.caption import Caption
from ltx_ray.models.testcard.layout import Layout, Rect
from ltx_ray.models.testcard.palette import ALARM, INK, INK_SOFT, RGB
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


def timecode(frame: int, frame_rate: Fraction) -> str:
    """Real time of a frame's start, HH:MM:SS, then the frame's number within its second."""
    seconds = frame // frame_rate
    first = -((-seconds * frame_rate.numerator) // frame_rate.denominator)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}:{frame - first:02}"


def draw_figures(picture: Image.Image, layout: Layout, reading: Reading, caption: Caption | None) -> None:
    """Frame number large, timecode under it."""
    rect = layout.figures
    number = "------" if reading.frame is None else f"{reading.frame:06}"
    colour = INK if reading.state == "good" else ALARM
    time = timecode(reading.frame, caption.frame_rate) if caption and reading.frame is not None else "--:--:--:--"
    if rect.height < 40:
        size = fitted_size("000000 00:00:00:00", rect.width, int(rect.height * 0.8), 7)
        bottom = _draw_row(picture, number, rect.left, rect.top, size, colour)
        _draw_row(picture, time, rect.left + int(width_of("0000000", size)), rect.top, size, INK_SOFT)
        del bottom
        return
    size = min(int(rect.height * 0.62), fitted_size("000000", rect.width, int(rect.height * 0.62), 10))
    bottom = _draw_row(picture, number, rect.left, rect.top, size, colour)
    small = min(int(size * 0.5), fitted_size("00:00:00:00", rect.width, int(size * 0.5), 8))
    _draw_row(picture, time, rect.left, bottom + small // 6, small, INK_SOFT)


def _draw_row(picture: Image.Image, text: str, left: int, top: int, size: int, colour: RGB) -> int:
    """Figures in columns of one width; returns the row's bottom."""
    wide, narrow, height = -int(-width_of("0", size) * 1.04), int(width_of(":", size) * 1.5), size
    for letter in text:
        width = narrow if letter == ":" else wide
        picture.paste(colour, (left, top), glyph(letter, size, width, height))
        left += width
    return top + height


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
