"""What a user should know of a plan though nothing is wrong with it, one sentence each, many of a kind as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

#: So many of a kind are told one by one.
FEW = 3


class Note(NamedTuple):
    what: str
    where: str = ""  #: the video, or a place in it
    #: What follows the number where many are told as one: "boundaries moved by up to {most} frame{s}". "" = never.
    many: str = ""
    amount: int = 0  #: of which the largest is ``most``

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


def grouped(notes: Iterable[Note], *, remedy: str) -> Iterator[str]:
    """The sentences of ``notes``, in order; more than FEW of a kind are one, which ends in ``remedy``."""
    kinds: dict[str | Note, list[Note]] = {}
    for note in notes:
        kinds.setdefault(note.many or note, []).append(note)
    for alike in kinds.values():
        if len(alike) <= FEW:
            yield from map(str, alike)
        else:
            most = max(note.amount for note in alike)
            yield f"{len(alike):,} {alike[0].many.format(most=most, s='' if most == 1 else 's')}; {remedy}"
