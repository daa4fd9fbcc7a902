"""The ring clock: one segment for each frame of the second, and a flash when a second begins.

Drawn twice, dark and lit, when size or words change; a frame shows the lit one through a slice that ends in the gap
between two segments, so edges stay smooth.
"""

from __future__ import annotations

import math
from fractions import Fraction

from PIL import Image, ImageDraw

from ltx_ray.models.testcard.caption import Caption
from ltx_ray.models.testcard.figures import Reading, first_of_second
from ltx_ray.models.testcard.layout import Layout
from ltx_ray.models.testcard.palette import (
    INK,
    INK_FAINT,
    INK_SOFT,
    PANEL,
    RGB,
    SEGMENT_DARK,
    bar_colours,
    mixed,
)
from ltx_ray.models.testcard.words import glyph, width_of, write

_MAX_SEGMENTS = 60
_SMOOTH = 3  # drawn this many times larger, then reduced


class ClockFace:
    """One size, one caption."""

    def __init__(self, layout: Layout, caption: Caption | None) -> None:
        self._clock = layout.clock
        self._rate = caption.frame_rate if caption else None
        self._segments = min(_MAX_SEGMENTS, max(1, math.ceil(self._rate))) if self._rate else 24
        side = 2 * self._clock.radius
        hue = caption.hue if caption else 0
        colours = bar_colours(hue)
        self._dark = self._draw_face(side, [SEGMENT_DARK] * self._segments)
        self._lit = self._draw_face(side, [self._blend(colours, idx) for idx in range(self._segments)])
        self._mask = _disc(side, side)

    def draw(self, picture: Image.Image, reading: Reading) -> None:
        """Put the clock of one frame on the picture."""
        radius, side = self._clock.radius, 2 * self._clock.radius
        face = self._dark.copy()
        if reading.frame is not None and self._rate is not None:
            turn = self._lit_segments(reading.frame) / self._segments * 360
            part = Image.new("L", (side, side), 0)
            ImageDraw.Draw(part).pieslice((0, 0, side - 1, side - 1), -90, -90 + turn, fill=255)
            face.paste(self._lit, (0, 0), part)
        self._draw_hub(face, reading)
        picture.paste(face, (self._clock.centre_x - radius, self._clock.centre_y - radius), self._mask)

    def _lit_segments(self, frame: int) -> int:
        """Segments up to and including this frame's; above sixty frames a second, up to this moment's."""
        assert self._rate is not None
        within = frame - first_of_second(frame, self._rate)
        if self._rate <= _MAX_SEGMENTS:
            return min(self._segments, within + 1)
        return min(self._segments, int(within / self._rate * self._segments) + 1)

    def _draw_hub(self, face: Image.Image, reading: Reading) -> None:
        """The second, in the middle; white when a second begins."""
        radius = self._clock.radius
        colour: RGB = INK
        if reading.flash:
            hub = int(radius * 0.60)
            face.paste(INK, (radius - hub, radius - hub), _disc(2 * hub, 2 * hub))
            colour = PANEL
        text = "--"
        if reading.frame is not None and self._rate is not None:
            text = f"{int(reading.frame // self._rate) % 60:02}"
        size = int(radius * 0.62)
        wide = math.ceil(width_of("0", size) * 1.02)
        left, top = radius - wide * len(text) // 2, radius - int(size * 0.62)
        for letter in text:
            face.paste(colour, (left, top), glyph(letter, size, wide, size))
            left += wide
        small = max(7, int(radius * 0.125))
        tone = mixed(PANEL, INK_SOFT, 0.35) if colour == PANEL else INK_FAINT
        write(ImageDraw.Draw(face), (radius, radius + int(size * 0.42)), "seconds", small, tone, anchor="mt")

    def _draw_face(self, side: int, colours: list[RGB]) -> Image.Image:
        large = side * _SMOOTH
        face = Image.new("RGB", (large, large), PANEL)
        draw = ImageDraw.Draw(face)
        rim, outer, inner = 0.0, large * 0.045, large * 0.135
        draw.ellipse((rim, rim, large - 1, large - 1), fill=PANEL, outline=SEGMENT_DARK, width=max(2, large // 150))
        turn = 360 / self._segments
        gap = min(turn * 0.3, 2.2)
        for idx, colour in enumerate(colours):
            start = -90 + idx * turn + gap / 2
            draw.pieslice((outer, outer, large - outer, large - outer), start, start + turn - gap, fill=colour)
        draw.ellipse((inner, inner, large - inner, large - inner), fill=PANEL)
        return face.resize((side, side), Image.Resampling.BOX)

    def _blend(self, colours: list[RGB], idx: int) -> RGB:
        """The palette once around the ring, without a step."""
        place = Fraction(idx * len(colours), self._segments)
        near = int(place)
        return mixed(colours[near], colours[(near + 1) % len(colours)], float(place - near))


def _disc(width: int, height: int) -> Image.Image:
    large = Image.new("L", (width * _SMOOTH, height * _SMOOTH), 0)
    ImageDraw.Draw(large).ellipse((0, 0, width * _SMOOTH - 1, height * _SMOOTH - 1), fill=255)
    return large.resize((width, height), Image.Resampling.BOX)
