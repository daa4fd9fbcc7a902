"""What a segment is given of itself beforehand: one dataclass a kind, each for picture or for sound.

    Hold            in place     connector, image at frame 0, what a later segment has settled
    KeepOutside     in place     source of which a range of seconds is made anew
    Freeze          in place     given picture or given sound
    Keyframe        appended     image at any frame, a sound from any cell on
    Reference       appended     control video, or sound, that lies over the segment

A recipe holds them in a tuple, and its task has a parent "condition" for each, in the same order, and a parent "mask"
for each that has one. A mask artifact holds ``mask``, float32 [1, F, H, W] in latents or [1, L] in cells, over the same
latents or cells as the condition's artifact: 1 = given, 0 = free, as if the condition were not there; between them
``strength`` is scaled. How a kind is applied, and that it is known at all, stands in ``sampling.conditioning``.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from ltx_ray.spec.piece import Piece

#: Names of the tensors that an artifact holds of picture and sound.
Modality = Literal["video", "audio"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    modality: Modality
    piece: Piece  #: latents of the artifact's ``video``, or cells of its ``audio``
    strength: float = 1.0  #: 1 = pinned bit for bit; between 0 and 1 the share that is kept
    has_mask: bool = False  #: False = the whole frame, or every cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold(_Kind):
    """The segment's latents, or cells, from ``start`` on."""

    kind: Literal["hold"] = "hold"
    start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepOutside(_Kind):
    """All of the segment but what touches [start_s, stop_s), counted from its frame 0; ``piece`` is as long as it."""

    kind: Literal["keep_outside"] = "keep_outside"
    start_s: Fraction
    stop_s: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze(_Kind):
    """All of the segment; ``piece`` is as long as it."""

    kind: Literal["freeze"] = "freeze"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyframe(_Kind):
    """A guide whose first frame is the segment's pixel frame ``start``, or whose first cell is its cell ``start``."""

    kind: Literal["keyframe"] = "keyframe"
    start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference(_Kind):
    """A guide that lies over the segment from its frame 0, or its first cell, on."""

    kind: Literal["reference"] = "reference"
    downscale: int = 1  #: times that its picture is smaller than the segment's; of sound 1


Condition = Hold | KeepOutside | Freeze | Keyframe | Reference
