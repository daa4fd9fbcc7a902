"""Which frames a stack of convolutions can know, as arithmetic alone.

A span is what one layer holds of a timeline. In the middle of a timeline a convolution has no result where a neighbour
is missing, so its span shrinks; at the timeline's true ends the module pads, and nothing is lost. Following a span
through a decoder therefore gives both the decoder's reach and the place of every frame that comes out: no frame made
from padding where the timeline goes on can appear.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Span(NamedTuple):
    """Frames [start, stop) of a timeline that has ``total`` frames at this layer."""

    start: int
    stop: int
    total: int

    @property
    def has_end(self) -> bool:
        """Whether the timeline's last frame is among them."""
        return self.stop == self.total

    def convolved(self, before: int, after: int) -> Span:
        """What is left where every result needs so many frames before and after its own."""
        start = self.start + before if self.start else 0
        return Span(start, self.stop if self.has_end else self.stop - after, self.total)

    def upsampled(self, factor: int) -> Span:
        """Every frame becomes ``factor`` frames, the timeline's first one frame."""
        start, stop, total = (factor * (value - 1) + 1 for value in self)
        return Span(max(0, start), stop, total)

    def downsampled(self, factor: int) -> Span:
        """The inverse of ``upsampled``, for a span that begins at 0."""
        assert self.start == 0
        return Span(0, (self.stop - 1) // factor + 1, (self.total - 1) // factor + 1)


def reach_through(follow: Callable[[Span], Span], frames_per_latent: int) -> tuple[int, int]:
    """Latents before and after its own that any frame depends on, followed through the middle of a long timeline."""
    middle = Span(10_000, 20_000, 30_000)
    out = follow(middle)
    first_whole = -(-(out.start - 1) // frames_per_latent) + 1
    last_whole = (out.stop - 1) // frames_per_latent
    return first_whole - middle.start, middle.stop - 1 - last_whole
