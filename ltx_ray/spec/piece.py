"""A part of an artifact, in the units of its modality."""

from __future__ import annotations

from typing import NamedTuple


class Piece(NamedTuple):
    """Latents, or audio cells, [start, stop) of an artifact. Pieces of several parents lie end to end."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start
