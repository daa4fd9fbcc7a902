"""What planning must know of a media file that a manifest names, read once before anything is planned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from ltx_ray.spec.grid import round_half_up

#: What a manifest takes a file for: one that has pictures and sound can be named for either.
Holds = Literal["film", "image", "sound"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """``duration_s`` is that of the picture; the sound may be shorter or absent, silence stands for what is missing."""

    sha256: str
    num_bytes: int
    duration_s: Fraction
    frame_rate: Fraction
    width_px: int
    height_px: int
    has_sound: bool  #: in the track that players play
    is_constant: bool = True  #: whether picture k is shown at k / frame_rate; else that is the average
    tracks: tuple[bool, ...] = ()  #: of every track of sound, whether there is any in it
    colour_note: str = ""  #: end of a sentence about the file: which colours were taken where it says none
    #: Seconds to add to the file's own times after each time that its clock is set anew; see ``media.clock``.
    shifts: tuple[Fraction, ...] = ()
    notes: tuple[str, ...] = ()  #: what a user should know of how it is read: ends of sentences about the file
    chunk_codec: str = ""  #: row of ``spec.codecs`` if its packets can be joined as they are; "" = they cannot

    def num_frames(self, frame_rate: Fraction) -> int:
        """Frames of the file when it is seen at another rate: frame i shows what the file shows at i / frame_rate."""
        return max(1, round_half_up(self.duration_s * frame_rate))


@dataclass(frozen=True, slots=True, kw_only=True)
class StillFacts:
    """One picture, upright as a viewer shows it."""

    sha256: str
    num_bytes: int
    width_px: int
    height_px: int
    notes: tuple[str, ...] = ()  #: what a user should know of how it is read: ends of sentences about the file


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundFacts:
    """A sound track, of a file with pictures or without; it begins with the first picture, or with its first sample."""

    sha256: str
    num_bytes: int
    duration_s: Fraction  #: from the beginning to the last sample
    sample_rate_hz: int  #: of its first sample
    shifts: tuple[Fraction, ...] = ()  #: as ``SourceFacts.shifts``
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenFacts:
    """The files that a manifest names, each by its path."""

    films: Mapping[str, SourceFacts] = field(default_factory=dict)
    images: Mapping[str, StillFacts] = field(default_factory=dict)
    sounds: Mapping[str, SoundFacts] = field(default_factory=dict)

    def of(self, holds: Holds, path: str) -> SourceFacts | StillFacts | SoundFacts:
        """Facts of a file as what it is taken for."""
        by_kind: Mapping[Holds, Mapping[str, SourceFacts | StillFacts | SoundFacts]] = {
            "film": self.films,
            "image": self.images,
            "sound": self.sounds,
        }
        return by_kind[holds][path]
