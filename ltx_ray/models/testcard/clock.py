"""The ring clock: one turn a second, a flash on the second."""

from __future__ import annotations

from PIL import Image

from ltx_ray.models.testcard.caption import Caption
from ltx_ray.models.testcard.figures import Reading
from ltx_ray.models.testcard.layout import Layout


class ClockFace:
    def __init__(self, layout: Layout, caption: Caption | None) -> None:
        self._clock = layout.clock

    def draw(self, picture: Image.Image, reading: Reading, caption: Caption | None) -> None:
        return
