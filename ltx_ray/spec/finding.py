"""What was found of a machine or a cluster, good or bad, as ``ltx-ray doctor`` says it."""

from __future__ import annotations

from typing import Literal, NamedTuple

#: "fail": a render would not work; "warn": it would, and not as well as it could.
Level = Literal["ok", "warn", "fail"]


class Finding(NamedTuple):
    level: Level
    what: str  #: of the machine, in a word or two
    says: str
    remedy: str = ""  #: what to do; "" = nothing is to be done
