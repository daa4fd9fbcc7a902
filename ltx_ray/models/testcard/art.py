"""The cells of the card as the model makes them: ground, moving bars and strips, frame by frame.

One cell is one pixel of these small pictures: 8 px of the picture that their stage makes. numpy only.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ltx_ray.models.testcard.code import COARSE_SYNC, FINE_SYNC, Ints, words
from ltx_ray.models.testcard.layout import CELL_PX, Layout, Rect, Strip
from ltx_ray.models.testcard.palette import INK, NUM_BARS, PANEL, bar_colours, ground_colours

Cells = NDArray[np.uint8]  #: [frames, rows, columns, 3]
#: Strip cells that say nothing: what could not be read is not made up.
SILENT = 128


def paint_cells(layout: Layout, counters: Ints, *, hue: int, frame_rate: Fraction) -> Cells:
    """Ground and bars of the frames with these numbers; strips are left as ground."""
    rows, columns = layout.height // CELL_PX, layout.width // CELL_PX
    cells = np.empty((len(counters), rows, columns, 3), np.uint8)
    cells[:] = _ground(rows, columns, hue)
    band = layout.bars.scaled_down(CELL_PX)
    _paint_bars(cells, band, counters, hue=hue, frame_rate=frame_rate)
    return cells


def paint_coarse(cells: Cells, layout: Layout, counters: Ints, tag: int, *, frame_rate: Fraction) -> None:
    """The strip of stage 1, in place."""
    bits = words(counters, tag, sync=COARSE_SYNC, frame_rate=frame_rate)
    _paint_strip(cells, layout.coarse, bits * np.uint8(255))


def paint_fine(cells: Cells, layout: Layout, counters: Ints, tag: int, *, frame_rate: Fraction) -> None:
    """The strip of stage 2, in place."""
    assert layout.fine is not None
    bits = words(counters, tag, sync=FINE_SYNC, frame_rate=frame_rate)
    _paint_strip(cells, layout.fine, bits * np.uint8(255))


def silence(cells: Cells, strip: Strip) -> None:
    """Paint a strip that says nothing, in place."""
    _paint_strip(cells, strip, np.full((len(cells), 32), SILENT, np.uint8))


def _paint_strip(cells: Cells, strip: Strip, levels: NDArray[np.uint8]) -> None:
    rect = strip.rect.scaled_down(CELL_PX)
    side = strip.cell_px // CELL_PX
    blocks = levels.reshape(len(cells), strip.rows, strip.columns)
    blocks = blocks.repeat(side, axis=1).repeat(side, axis=2)
    cells[:, rect.top : rect.bottom, rect.left : rect.right] = blocks[..., None]


def _ground(rows: int, columns: int, hue: int) -> Cells:
    top, bottom = (np.array(colour, np.float64) for colour in ground_colours(hue))
    share = np.linspace(0.0, 1.0, rows)[:, None, None]
    across = (np.linspace(-1.0, 1.0, columns)[None, :, None]) ** 2
    return np.rint((top + (bottom - top) * share) * (1 - 0.16 * across)).astype(np.uint8)


def _paint_bars(cells: Cells, band: Rect, counters: Ints, *, hue: int, frame_rate: Fraction) -> None:
    """Eight bars drift left by one width a second, above a ramp from black to white that stands still."""
    seconds = np.array([float(int(n) / frame_rate % NUM_BARS) for n in counters])
    bars = _drift(np.array(bar_colours(hue), np.float64), band.width, seconds)
    ramp = np.linspace(0, 1, band.width)[:, None]
    split = band.height - band.height // 5
    area = cells[:, band.top : band.bottom, band.left : band.right]
    shade = np.linspace(1.0, 0.88, split)[None, :, None, None]
    area[:, :split] = np.rint(bars[:, None] * shade)
    area[:, split:] = np.rint(np.array(PANEL) + (np.array(INK) - np.array(PANEL)) * ramp)


def _drift(colours: NDArray[np.float64], columns: int, shift: NDArray[np.float64]) -> NDArray[np.float64]:
    """Colours [frames, columns, 3] of bars moved left by ``shift`` bars; a cell on an edge has both in its shares."""
    width = columns / NUM_BARS
    edges = np.arange(columns)[None, :] / width + shift[:, None]
    left = np.floor(edges)
    share = np.clip((edges + 1 / width - (left + 1)) * width, 0.0, 1.0)[..., None]
    near, far = colours[left.astype(int) % NUM_BARS], colours[(left.astype(int) + 1) % NUM_BARS]
    blend: NDArray[np.float64] = near + (far - near) * share
    return blend
