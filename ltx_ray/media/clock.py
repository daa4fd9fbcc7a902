"""The clock of a file that is set anew in its middle, as where broadcasts or clips were joined byte by byte.

Times count on from where the clock stopped. What was found while planning, a shift for each time it was set, travels
with the work, so that picture and sound, read apart and on other machines, are put in the same places.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

#: A clock that goes back further than pictures are reordered was set.
_BACK_S = Fraction(1, 2)
#: Programs never pause for so long in the streams that broadcasts are made of; elsewhere a picture may stand for long.
_AHEAD_S = 10
_AHEAD_ELSEWHERE_S = 3600
#: Formats of broadcasts, which are cut and joined anywhere.
MPEG_STREAMS = ("mpegts", "mpeg")


class Clock:
    """Times on one clock, asked for in the order of the file.

    Args:
        shifts: seconds to add after each time the clock is set; None = they are found out now.
    """

    #: No clock is taken to be set within less.
    LEAST_GAP_S = _AHEAD_S

    def __init__(self, format_name: str, shifts: Sequence[Fraction] | None = None) -> None:
        self._ahead_s = _AHEAD_S if format_name in MPEG_STREAMS else _AHEAD_ELSEWHERE_S
        self._is_known = shifts is not None
        self.shifts = list(shifts or ())
        self.set_at_s: list[Fraction] = []  #: when, on the one clock
        self._num_set = 0
        self._last_s: Fraction | None = None  #: as the file says it
        self._end_s = Fraction(0)

    @property
    def shift_s(self) -> Fraction:
        """What is added to times of the file now."""
        return self.shifts[self._num_set - 1] if self._num_set else Fraction(0)

    def passes(self, time_s: Fraction, length_s: Fraction) -> Fraction:
        """When something is shown or heard that the file puts at ``time_s``."""
        if self._last_s is not None and not -_BACK_S <= time_s - self._last_s <= self._ahead_s + length_s:
            self._set(time_s)
        self._last_s, self._end_s = time_s, time_s + self.shift_s + length_s
        return time_s + self.shift_s

    def _set(self, time_s: Fraction) -> None:
        if not self._is_known:
            self.shifts.append(self._end_s - time_s)
        elif self._num_set == len(self.shifts):
            return  # what counts is what planning saw
        self._num_set += 1
        self.set_at_s.append(self._end_s)
