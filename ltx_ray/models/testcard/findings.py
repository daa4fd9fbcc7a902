"""What a proof says: single findings, tallies per clock, and the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: What a crop can cut away.
Visible = Literal["coarse", "fine", "flashes"]
Kind = Literal[
    "unreadable", "frame", "strips disagree", "video", "flash", "num frames",
    "no sound", "sound length", "beep missing", "beep late", "beep early", "extra beep", "pitch",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong. ``frame_idx`` counts from the file's start and is None for sound."""

    at_s: float
    frame_idx: int | None
    kind: Kind
    expected: str
    found: str

    def __str__(self) -> str:
        place = f"frame {self.frame_idx}" if self.frame_idx is not None else f"sound at {self.at_s:.3f} s"
        return f"{place}: {self.kind}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, slots=True)
class Tally:
    """``num_right`` of ``num_checked``."""

    num_right: int
    num_checked: int


@dataclass(frozen=True, slots=True)
class CardProof:
    """``wrong`` is in the order of time. A file that is no card has ``is_card`` False and nothing wrong."""

    num_frames: int
    is_card: bool
    is_draft: bool
    coarse: Tally
    fine: Tally  #: of 0 for a draft, as all clocks in ``cropped``
    flashes: Tally
    beeps: Tally
    worst_beep_s: float  #: largest distance of a beep from its whole second
    wrong: tuple[Finding, ...]
    cropped: tuple[Visible, ...]  #: cut away, so neither right nor wrong
    takes_read: tuple[int, ...] | None  #: frames of each take, where the strips had to tell; None = one, or known
    first_number: int = 0  #: of the first frame; above 0 where the card goes on from another
    num_unjudged: int = 0  #: frames of which nothing is asked, because they go on from a film that is no card

    @property
    def first_wrong(self) -> str | None:
        """One sentence, or None when everything is right."""
        return str(self.wrong[0]) if self.wrong else None
