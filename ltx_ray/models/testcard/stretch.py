"""A stretch of frames that a card counts without a break."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stretch:
    """Frames numbered on from ``first``; beeps and flashes fall where that count has its whole seconds."""

    num_frames: int
    first: int = 0
    label: str | None = None  #: the video's id; None = any, but one and the same in all stretches without
    is_judged: bool = True  #: False: nothing is asked of it
