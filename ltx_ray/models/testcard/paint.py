"""From one frame's cells and words to its picture. Everything drawn is said by the latent, and by nothing else.

The ground is the cells, enlarged smoothly; strips are crisp blocks; words, clock and figures are drawn on top. What
does not move (ground, grid, words, panel) is drawn once and kept until the cells or words it came from change.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ltx_ray.models.testcard.caption import Caption
from ltx_ray.models.testcard.clock import ClockFace
from ltx_ray.models.testcard.code import COARSE_SYNC, FINE_SYNC
from ltx_ray.models.testcard.figures import Reading, draw_alarm, draw_figures
from ltx_ray.models.testcard.ground import draw_still
from ltx_ray.models.testcard.layout import CELL_PX, Layout, Rect, Strip, card_layout, draft_layout
from ltx_ray.models.testcard.palette import CELL_DARK, INK
from ltx_ray.models.testcard.read import NO_WORD, Word, word_of

Frame = NDArray[np.uint8]


@dataclass(slots=True)
class _Still:
    """What is kept between frames, and what it was made from."""

    layout: Layout
    caption: Caption | None
    ground: bytes
    picture: Image.Image
    face: ClockFace | None


class Painter:
    """Paints frame after frame; holds one still picture."""

    def __init__(self) -> None:
        self._still: _Still | None = None

    def paint(self, cells_RK3: Frame, caption: Caption | None) -> Frame:
        """The picture [height, width, 3] of one frame's cells [R, K, 3]."""
        layout = layout_for(cells_RK3, caption)
        still = self._still_for(layout, caption, cells_RK3)
        coarse, fine = cell_word(cells_RK3, layout.coarse, COARSE_SYNC), NO_WORD
        if layout.fine is not None:
            fine = cell_word(cells_RK3, layout.fine, FINE_SYNC)
        reading = Reading.of(coarse, fine, has_fine=layout.fine is not None)
        picture = still.picture.copy()
        _paste_bars(picture, cells_RK3, layout.bars)
        if still.face is not None and reading.state == "good":
            still.face.draw(picture, reading)
        draw_figures(picture, layout, reading, caption)
        draw_alarm(picture, layout, reading)
        for strip in (layout.coarse, layout.fine):
            if strip is not None:
                _paste_strip(picture, cells_RK3, strip)
        return np.array(picture)

    def _still_for(self, layout: Layout, caption: Caption | None, cells: Frame) -> _Still:
        ground = _ground_only(cells, layout)
        kept = self._still
        if kept and (kept.layout, kept.caption, kept.ground) == (layout, caption, ground.tobytes()):
            return kept
        picture = Image.fromarray(ground).resize((layout.width, layout.height), Image.Resampling.BICUBIC)
        draw_still(picture, layout, caption)
        face = ClockFace(layout, caption) if layout.clock.radius else None
        self._still = _Still(layout, caption, ground.tobytes(), picture, face)
        return self._still


def layout_for(cells: Frame, caption: Caption | None) -> Layout:
    """A draft's layout if the caption says stage 1; without words, the one whose strips can be read."""
    height, width = cells.shape[0] * CELL_PX, cells.shape[1] * CELL_PX
    if caption is not None:
        return (draft_layout if caption.stage == 1 else card_layout)(width, height)
    draft = draft_layout(width, height)
    if width % 64 or height % 64 or min(width, height) < 128:
        return draft
    card = card_layout(width, height)
    assert card.fine is not None
    is_card = cell_word(cells, card.coarse, COARSE_SYNC).is_whole and cell_word(cells, card.fine, FINE_SYNC).is_whole
    return draft if not is_card and cell_word(cells, draft.coarse, COARSE_SYNC).is_whole else card


def cell_word(cells: Frame, strip: Strip, sync: tuple[int, int]) -> Word:
    """What a strip says, from its cells."""
    rect, side = strip.rect.scaled_down(CELL_PX), strip.cell_px // CELL_PX
    area = cells[rect.top : rect.bottom, rect.left : rect.right].astype(np.float64)
    levels = area.reshape(strip.rows, side, strip.columns, side, 3).mean(axis=(1, 3, 4)).ravel()
    return word_of(levels, sync)


def _ground_only(cells: Frame, layout: Layout) -> Frame:
    """Cells without bars and strips: the row above each continues over it."""
    ground = cells.copy()
    for rect in (layout.bars, layout.coarse.rect, layout.fine.rect if layout.fine else None):
        if rect is not None:
            _cover(ground, rect.scaled_down(CELL_PX))
    return ground


def _cover(ground: Frame, area: Rect) -> None:
    ground[area.top : area.bottom, area.left : area.right] = ground[max(0, area.top - 1), area.left : area.right]


def _paste_bars(picture: Image.Image, cells: Frame, bars: Rect) -> None:
    area = bars.scaled_down(CELL_PX)
    band = Image.fromarray(cells[area.top : area.bottom, area.left : area.right])
    picture.paste(band.resize((bars.width, bars.height), Image.Resampling.BICUBIC), (bars.left, bars.top))


def _paste_strip(picture: Image.Image, cells: Frame, strip: Strip) -> None:
    """Blocks between dark and ink, as light as their cells: what is half there looks half there."""
    area = strip.rect.scaled_down(CELL_PX)
    share = cells[area.top : area.bottom, area.left : area.right].mean(axis=2, keepdims=True) / 255
    dark, light = np.array(CELL_DARK, np.float64), np.array(INK, np.float64)
    blocks = np.rint(dark + (light - dark) * share).astype(np.uint8)
    size = (strip.rect.width, strip.rect.height)
    picture.paste(Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST), (strip.rect.left, strip.rect.top))
