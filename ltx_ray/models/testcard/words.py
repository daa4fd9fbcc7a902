"""Letters on the card, with the font that comes inside Pillow: no font file of the machine decides a byte.

What the font cannot draw becomes one raised dot per run of letters, so a prompt in any script gives a picture.
"""

from __future__ import annotations

import math
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from ltx_ray.models.testcard.palette import RGB

_MARK = "\u00b7"
_ELLIPSIS = "\u2026"
#: Letters smaller than this are drawn larger and reduced: on whole pixels they would stand unevenly.
_SMALL = 30
_SMOOTH = 4


@lru_cache(maxsize=64)
def font(size: int) -> ImageFont.FreeTypeFont:
    """The embedded font at ``size`` px, with the layout engine that is the same everywhere."""
    loaded = ImageFont.load_default(max(6, size))
    assert isinstance(loaded, ImageFont.FreeTypeFont)
    return loaded.font_variant(layout_engine=ImageFont.Layout.BASIC)


def drawable(text: str) -> str:
    """``text`` on one line, with a mark for each run of letters that the font lacks."""
    out: list[str] = []
    for letter in " ".join(text.split()):
        if _has(letter):
            out.append(letter)
        elif not out or out[-1] != _MARK:
            out.append(_MARK)
    return "".join(out)


@lru_cache(maxsize=4096)
def _has(letter: str) -> bool:
    return letter == " " or (letter.isprintable() and _shape(letter) != _shape("\U0010fffd"))


def _shape(letter: str) -> bytes:
    return bytes(font(16).getmask(letter))


def width_of(text: str, size: int) -> float:
    """Width in px, in parts of a pixel for small letters."""
    smooth = _SMOOTH if size < _SMALL else 1
    return float(font(size * smooth).getlength(text)) / smooth


def fitted_size(text: str, width: int, largest: int, smallest: int) -> int:
    """The largest size at which ``text`` is no wider than ``width``, within the two bounds."""
    size = largest
    while size > smallest and width_of(text, size) > width:
        size = max(smallest, min(size - 1, int(size * width / width_of(text, size))))
    return size


def wrapped(text: str, size: int, width: int, num_lines: int) -> list[str]:
    """Lines no wider than ``width``; the last one ends in an ellipsis if there is more."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if width_of(longer, size) <= width or not line:
            line = longer
            continue
        lines.append(line)
        line = word
    lines = [each for each in [*lines, line] if each]
    if len(lines) > num_lines:
        lines = [*lines[:num_lines]]
        if lines:
            lines[-1] += _ELLIPSIS
    return [_shortened(each, size, width) for each in lines]


def _shortened(line: str, size: int, width: int) -> str:
    if width_of(line, size) <= width:
        return line
    while line and width_of(line + _ELLIPSIS, size) > width:
        line = line[:-1].rstrip(f"{_ELLIPSIS} ,.;:")
    return line + _ELLIPSIS


def write(
    draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: int, colour: RGB, anchor: str = "ls"
) -> None:
    """``anchor`` as in Pillow; the default is the left end of the baseline."""
    if size >= _SMALL:
        draw.text(at, text, fill=colour, font=font(size), anchor=anchor)
        return
    left, top, mask = _small(text, size, anchor)
    draw.bitmap((round(at[0]) + left, round(at[1]) + top), mask, fill=colour)


@lru_cache(maxsize=256)
def _small(text: str, size: int, anchor: str) -> tuple[int, int, Image.Image]:
    """The text as a mask, and where the mask lies seen from the anchor."""
    large = font(size * _SMOOTH)
    left, top, right, bottom = (float(edge) for edge in large.getbbox(text, anchor=anchor))
    x0, y0 = math.floor(left / _SMOOTH), math.floor(top / _SMOOTH)
    width, height = math.ceil(right / _SMOOTH) - x0 + 1, math.ceil(bottom / _SMOOTH) - y0 + 1
    mask = Image.new("L", (width * _SMOOTH, height * _SMOOTH), 0)
    ImageDraw.Draw(mask).text((-x0 * _SMOOTH, -y0 * _SMOOTH), text, fill=255, font=large, anchor=anchor)
    return x0, y0, mask.resize((width, height), Image.Resampling.BOX)


@lru_cache(maxsize=512)
def glyph(letter: str, size: int, width: int, height: int) -> Image.Image:
    """One letter as a mask of fixed width, centred, standing on the mask's lower edge less a fifth of its height."""
    smooth = _SMOOTH if size < _SMALL else 1
    mask = Image.new("L", (width * smooth, height * smooth), 0)
    foot = (width * smooth / 2, height * smooth * 0.86)
    ImageDraw.Draw(mask).text(foot, letter, fill=255, font=font(size * smooth), anchor="ms")
    return mask.resize((width, height), Image.Resampling.BOX)
