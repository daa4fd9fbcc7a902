"""Colours from words: the same prompt has the same bars, and any prompt has bars that go together.

Colours are chosen in OKLCH, where equal steps look equal, and handed out as sRGB bytes.
Source: Bjorn Ottosson, "A perceptual color space for image processing" (2020), matrices as published.
"""

from __future__ import annotations

import hashlib
import math

RGB = tuple[int, int, int]

NUM_BARS = 8
INK: RGB = (236, 240, 247)
INK_SOFT: RGB = (158, 171, 194)
INK_FAINT: RGB = (108, 122, 148)
PANEL: RGB = (9, 13, 21)
CELL_DARK: RGB = (24, 32, 48)
SEGMENT_DARK: RGB = (34, 43, 61)
ALARM: RGB = (224, 44, 60)


def hue_of(prompt: str) -> int:
    """Where on the colour wheel [0, 360) a prompt starts."""
    return int.from_bytes(hashlib.sha256(prompt.encode("utf-8", "replace")).digest()[:4], "big") % 360


def bar_colours(hue: int) -> list[RGB]:
    """Eight neighbours on the wheel and one visitor from across, light and deep in turn."""
    spread = (0, 24, 50, 78, 110, 140, 205, 330)
    lightness = (0.81, 0.74, 0.86, 0.72, 0.80, 0.66, 0.72, 0.78)
    chroma = (0.13, 0.16, 0.11, 0.15, 0.13, 0.15, 0.14, 0.15)
    return [oklch(light, c, hue + turn) for light, c, turn in zip(lightness, chroma, spread, strict=True)]


def accent(hue: int) -> RGB:
    """The colour of the clock's hand."""
    return oklch(0.82, 0.13, hue)


def ground_colours(hue: int) -> tuple[RGB, RGB]:
    """Top and bottom of the ground: slate with a breath of the palette."""
    return oklch(0.27, 0.035, 258 + 0.12 * _turn(hue - 258)), oklch(0.17, 0.028, 262)


def oklch(lightness: float, chroma: float, hue: float) -> RGB:
    """sRGB bytes, clipped to the gamut."""
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    red, green, blue = (round(255 * _gamma(min(1.0, max(0.0, value)))) for value in linear)
    return red, green, blue


def mixed(one: RGB, other: RGB, share: float) -> RGB:
    """``share`` of ``other`` in ``one``."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _gamma(value: float) -> float:
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055


def _turn(degrees: float) -> float:
    return (degrees + 180) % 360 - 180
