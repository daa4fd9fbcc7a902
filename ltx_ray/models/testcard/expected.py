"""What a finished card must show: stretches of frames that are counted without a break.

A take is one stretch, numbered from 0. A take that goes on from another file carries that file's count, tag and tune
on, whatever its number is by then: they are read off the picture, and everything must run on from them. Of a take that
goes on from a film that is no card nothing is asked: where the source's last frames are no running count, the card
does not know what time it is, and says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from ltx_ray.models.testcard.code import PERIOD
from ltx_ray.models.testcard.picture_check import FrameWords, octets_of
from ltx_ray.models.testcard.stretch import Stretch

#: A card counts on from so many frames, those of one latent.
_COUNTED = 8


@dataclass(frozen=True, slots=True)
class Source:
    """The file that the first take goes on from.

    A card goes on from one of its own kind and size alone: what another kind of reader makes of the source is no count.
    """

    num_frames: int  #: at the card's rate
    is_shown: bool  #: they come first in the file
    is_draft: bool | None = None  #: the card is; None = as the strips tell


def stretches(seen: FrameWords, takes: list[int], label: str | None, source: Source | None) -> list[Stretch]:
    """What the takes of so many frames must show."""
    expected = [Stretch(num_frames, label=label) for num_frames in takes]
    if source is not None:
        num_frames, *_ = takes
        expected[:1] = (
            _shown(seen, num_frames, source) if source.is_shown else [_hidden(seen, num_frames, label, source)]
        )
    return expected


def _shown(seen: FrameWords, num_frames: int, source: Source) -> list[Stretch]:
    """The source, which may have cuts of its own, and the take that carries its last count on."""
    last = seen.main[max(0, source.num_frames - _COUNTED) : source.num_frames]
    runs_on = all(word.is_whole and word.counter == last[0].counter + idx for idx, word in enumerate(last))
    if not runs_on and not any(word.is_whole for word in seen.main[source.num_frames : num_frames]):
        return [Stretch(num_frames, is_judged=False)]
    *cut, final = seen.lengths(source.num_frames)
    lengths = [*cut, final + num_frames - source.num_frames]
    return [Stretch(length, first=0 if idx else seen.first_number(0, length)) for idx, length in enumerate(lengths)]


def _hidden(seen: FrameWords, num_frames: int, label: str | None, source: Source) -> Stretch:
    """The take alone."""
    if not any(word.is_whole for word in seen.main[:num_frames]):
        return Stretch(num_frames, is_judged=False)
    first = seen.first_number(0, num_frames)
    # A count of its own is none that was carried on.
    is_own = label is not None and seen.voted_octets(0, num_frames) == octets_of(label)
    return Stretch(num_frames, first=max(first, source.num_frames % PERIOD) if is_own else first)
