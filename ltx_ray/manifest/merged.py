"""What one video is to be once every place has spoken, and how what is wrong with it is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ltx_ray.spec.model import ModelFacts

#: Takes a key and half of a sentence, whose other half is the key's place.
Tell = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Merged:
    """What one video is to be, by dotted key; a value that was refused is ``BAD``."""

    id: str
    index: int  #: position among all videos, from 1
    seed: int  #: when none is given
    facts: ModelFacts
    preset: str
    values: dict[str, Any]
    report: Tell  #: something is wrong
    note: Tell  #: something means other than it seems
    is_set: Callable[[str], bool]  #: whether the manifest itself, not a preset, gives a key
