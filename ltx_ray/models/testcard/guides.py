"""Key frames and reference videos as the card follows them: it shows them coarsely, above its strips, where they lie.

So a finished card tells which picture guided which frame.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ltx_ray.models.testcard.cells import to_cells
from ltx_ray.models.testcard.facts import CELLS_PER_LATENT, TESTCARD
from ltx_ray.models.testcard.layout import CELL_PX
from ltx_ray.sampling.state import LatentState

_FRAMES = TESTCARD.video.frames_per_latent


class Guide(NamedTuple):
    """What one appended token shows."""

    start: int  #: frames [start, stop) of the segment
    stop: int
    row: int  #: of cells
    column: int
    cells: NDArray[np.uint8]  #: [8, rows, columns, 3]

    def paint(self, cells: NDArray[np.uint8], *, below: int) -> None:
        """Over the segment's cells [F*8, R, K, 3], in place, in rows before ``below``."""
        first = max(0, self.start) + _FRAMES - 1  # frame 0 is the last of its eight
        stop = min(len(cells), self.stop + _FRAMES - 1)
        shown = self.cells[-1:] if self.stop - self.start == 1 else self.cells[first - _FRAMES + 1 - self.start :]
        height = min(self.cells.shape[1], below - self.row)
        if height > 0 and stop > first:
            columns = slice(self.column, self.column + self.cells.shape[2])
            cells[first:stop, self.row : self.row + height, columns] = shown[: stop - first, :height]


def read_guides(state: LatentState) -> list[Guide]:
    """Every appended token of a picture, as it was given."""
    if state.appended_positions is None:
        return []
    positions = state.appended_positions[0].double().cpu().numpy()
    tokens_TC = state.clean[0, state.layout.num_tokens :].float().cpu()
    rate = float(state.video_layout.frame_rate)
    guides = []
    for idx, token_C in enumerate(tokens_TC):
        time, row, column = positions[:, idx]
        scale = round((row[1] - row[0]) / (CELL_PX * CELLS_PER_LATENT))
        cells = to_cells(token_C[:, None, None, None]).repeat(scale, axis=1).repeat(scale, axis=2)
        start, stop = (round(float(edge) * rate) for edge in time)
        guides.append(Guide(start, stop, round(row[0] / CELL_PX), round(column[0] / CELL_PX), cells))
    return guides
