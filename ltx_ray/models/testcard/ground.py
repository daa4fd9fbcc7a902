"""What stands still on the card: grid, video id, prompt, size and rate, the panel around the strips."""

from __future__ import annotations

from fractions import Fraction

from PIL import Image, ImageDraw

from ltx_ray.models.testcard.caption import Caption
from ltx_ray.models.testcard.layout import Layout
from ltx_ray.models.testcard.palette import INK, INK_FAINT, INK_SOFT, PANEL, RGB, accent, mixed
from ltx_ray.models.testcard.words import drawable, fitted_size, width_of, wrapped, write

#: From one line of the prompt to the next, in letter sizes.
_LINE = 1.36
_ROOM_FOR_EYEBROW = 320


def draw_still(picture: Image.Image, layout: Layout, caption: Caption | None) -> None:
    """Draw everything that depends on size and words only, in place."""
    draw = ImageDraw.Draw(picture)
    if layout.clock.radius:
        _draw_grid(picture, draw, layout)
    _draw_panel(draw, layout)
    if caption is not None:
        _draw_head(draw, layout, caption)
        _draw_facts(draw, layout, caption)


def _draw_grid(picture: Image.Image, draw: ImageDraw.ImageDraw, layout: Layout) -> None:
    """Squares centred on the picture: bent or stretched, they tell."""
    pitch = max(16, min(layout.width, layout.height) // 12)
    width = max(1, min(layout.width, layout.height) // 1000)
    for centre, length, across in ((layout.width // 2, layout.width, False), (layout.height // 2, layout.height, True)):
        for at in range(centre % pitch, length, pitch):
            below = picture.getpixel((layout.width // 2, at) if across else (at, layout.height // 3))
            assert isinstance(below, tuple)
            colour = mixed((int(below[0]), int(below[1]), int(below[2])), INK_SOFT, 0.07)
            line = (0, at, layout.width, at) if across else (at, 0, at, layout.height)
            draw.line(line, fill=colour, width=width)


def _draw_panel(draw: ImageDraw.ImageDraw, layout: Layout) -> None:
    coarse, fine = layout.coarse.rect, layout.fine.rect if layout.fine else None
    pad = layout.coarse.cell_px // 2 if layout.clock.radius else 0
    bottom = fine.bottom if fine else coarse.bottom
    box = (coarse.left - pad, coarse.top - pad, coarse.right + pad - 1, bottom + pad - 1)
    draw.rounded_rectangle(box, radius=pad, fill=PANEL)
    if fine and fine.width * 2 <= coarse.width:
        size = max(9, int(layout.coarse.cell_px * 0.56))
        middle = (coarse.right, fine.top + fine.height / 2)
        write(draw, middle, "above: stage 1  \u00b7  left: stage 2", size, INK_FAINT, anchor="rm")


def _draw_head(draw: ImageDraw.ImageDraw, layout: Layout, caption: Caption) -> None:
    """An eyebrow, the id, the prompt; on the smallest pictures the id alone."""
    rect, label = layout.head, drawable(caption.label) or "testcard"
    if not layout.clock.radius:
        size = fitted_size(label, rect.width, max(8, min(16, rect.height - 3)), 7)
        top = rect.top + size * 0.95
        write(draw, (rect.left, top), wrapped(label, size, rect.width, 1)[0], size, INK)
        _draw_prompt(draw, layout, caption.prompt, 8, top + 2)
        return
    small = text_size(layout)
    top = float(rect.top)
    if min(layout.width, layout.height) >= _ROOM_FOR_EYEBROW:
        top += small * 0.9
        _draw_spaced(draw, (rect.left, top), "LTX-RAY TEST CARD", int(small * 0.72), accent(caption.hue))
    is_free = top + small * 3 < layout.clock.centre_y - layout.clock.radius
    wide = layout.width - 2 * rect.left if is_free else rect.width
    size = fitted_size(label, wide, int(small * 2.3), small)
    top += size * 1.15
    write(draw, (rect.left, top), wrapped(label, size, wide, 1)[0], size, INK)
    _draw_prompt(draw, layout, caption.prompt, small, top + size * 0.28)


def _draw_facts(draw: ImageDraw.ImageDraw, layout: Layout, caption: Caption) -> None:
    """One faint line at the foot of the figures."""
    if not layout.clock.radius:
        return
    rect, text = layout.figures, facts_line(layout, caption)
    size = fitted_size(text, rect.width, int(text_size(layout) * 0.8), 7)
    write(draw, (rect.left, rect.bottom - size * 0.2), text, size, INK_FAINT)


def _draw_prompt(draw: ImageDraw.ImageDraw, layout: Layout, prompt: str, largest: int, top: float) -> None:
    """As large as it can be shown whole; cut only when it is too long for the smallest letters."""
    rect, text = layout.head, drawable(prompt)
    smallest = max(8, int(largest * 0.6))
    for size in range(largest, smallest - 1, -1):
        num_lines = int((rect.bottom - top) / (size * _LINE))
        lines = wrapped(text, size, rect.width, num_lines + 1)
        if len(lines) <= num_lines or size <= smallest:
            break
    for idx, line in enumerate(wrapped(text, size, rect.width, num_lines)):
        write(draw, (rect.left, top + size * (1.1 + _LINE * idx)), line, size, INK_SOFT)


def _draw_spaced(draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: int, colour: RGB) -> None:
    left, base = at
    for letter in text:
        write(draw, (left, base), letter, size, colour)
        left += width_of(letter, size) + size * 0.16


def text_size(layout: Layout) -> int:
    """Body text: readable on the smallest card with a clock, not shouting on the largest."""
    return max(9, round(min(layout.width, layout.height) * 0.034))


def facts_line(layout: Layout, caption: Caption) -> str:
    """Size, rate and which stages made the picture."""
    made_by = "draft of stage 1" if caption.stage == 1 else "stages 1 + 2"
    return f"{layout.width} x {layout.height}  \u00b7  {_rate(caption.frame_rate)} fps  \u00b7  {made_by}"


def _rate(frame_rate: Fraction) -> str:
    return str(frame_rate.numerator) if frame_rate.denominator == 1 else f"{float(frame_rate):.3f}"
