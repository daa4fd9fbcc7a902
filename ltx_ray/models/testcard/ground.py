"""What stands still on the card: grid, video id, prompt, the panel around the strips."""

from __future__ import annotations

from PIL import Image, ImageDraw

from ltx_ray.models.testcard.caption import Caption
from ltx_ray.models.testcard.layout import Layout
from ltx_ray.models.testcard.palette import INK, INK_SOFT
from ltx_ray.models.testcard.words import drawable, fitted_size, wrapped, write


def draw_still(picture: Image.Image, layout: Layout, caption: Caption | None) -> None:
    """Draw everything that depends on size and words only, in place."""
    draw = ImageDraw.Draw(picture)
    if caption is not None:
        _draw_head(draw, layout, caption)


def _draw_head(draw: ImageDraw.ImageDraw, layout: Layout, caption: Caption) -> None:
    rect = layout.head
    label = drawable(caption.label) or "testcard"
    largest = max(9, min(rect.height // 3, rect.width // 8))
    size = fitted_size(label, rect.width, largest, 7)
    write(draw, (rect.left, rect.top + size), wrapped(label, size, rect.width, 1)[0], size, INK)
    small = max(8, int(largest * 0.55))
    top = rect.top + size * 1.25
    num_lines = int((rect.bottom - top) / (small * 1.3))
    for line in wrapped(drawable(caption.prompt), small, rect.width, num_lines):
        top += small * 1.3
        write(draw, (rect.left, top), line, small, INK_SOFT)
