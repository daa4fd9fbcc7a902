"""Streams of frames: tensors [B, C, frames, H, W] that pass through a chain of iterators, a few frames each.

Pulling a piece out of the last iterator pulls exactly what it needs through all before it, so layers run depth-first.
While an iterator waits it must hold nothing but its state: hence ``map`` with functions, which hold nothing, and
generators that give up their own name for a piece before they hand it over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor

FRAMES_AXIS = 2


def split(pieces: Iterator[Tensor], limit: int) -> Iterator[Tensor]:
    """The same frames in pieces of at most ``limit``."""
    for piece in pieces:
        parts = deque(torch.split(piece, limit, FRAMES_AXIS))
        del piece
        while parts:
            yield parts.popleft()


def without_first(pieces: Iterator[Tensor], count: int) -> Iterator[Tensor]:
    """The same frames but for the first ``count``."""
    for piece in pieces:
        dropped = min(count, piece.shape[FRAMES_AXIS])
        count -= dropped
        rest = [piece[:, :, dropped:]] if dropped < piece.shape[FRAMES_AXIS] else []
        del piece
        while rest:
            yield rest.pop()


def with_first_doubled(pieces: Iterator[Tensor], count: int) -> Iterator[Tensor]:
    """The same frames with the first ``count`` in front once more; the first piece must hold them."""
    for piece in pieces:
        longer = [torch.cat([piece[:, :, :count], piece], FRAMES_AXIS) if count else piece]
        count = 0
        del piece
        yield longer.pop()


class Delay:
    """Frames that wait for the results of a longer way. The first ``skip`` have no partner and are not kept."""

    def __init__(self, skip: int) -> None:
        self._skip = skip
        self._pieces: deque[Tensor] = deque()

    def remember(self, piece: Tensor) -> Tensor:
        """Keep the piece for later and pass it on."""
        skipped = min(self._skip, piece.shape[FRAMES_AXIS])
        self._skip -= skipped
        if skipped < piece.shape[FRAMES_AXIS]:
            self._pieces.append(piece[:, :, skipped:])
        return piece

    def take(self, count: int) -> Tensor:
        """The next ``count`` frames, which must have been remembered."""
        taken: list[Tensor] = []
        while count:
            head = self._pieces.popleft()
            if head.shape[FRAMES_AXIS] > count:
                # a copy, or two waiting frames would keep the memory of a whole piece
                self._pieces.appendleft(head[:, :, count:].clone())
                head = head[:, :, :count]
            taken.append(head)
            count -= head.shape[FRAMES_AXIS]
        return torch.cat(taken, FRAMES_AXIS) if len(taken) > 1 else taken[0]
