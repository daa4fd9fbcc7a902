"""Is a finished file what it must be? What it says of itself is held against what is in it.

Any file with our provenance must have exactly the frames, rate and sound it was planned with. A test card is also read
back picture by picture and beep by beep, as far as its crop leaves them; one that goes on from another file must carry
that file's count on, unless that is no card. A file without provenance that is no card is only described.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ltx_ray.media.probe import MediaDescription, describe
from ltx_ray.media.read import read_frames, read_samples
from ltx_ray.models.testcard.expected import Source
from ltx_ray.models.testcard.facts import TESTCARD
from ltx_ray.models.testcard.findings import CardProof
from ltx_ray.models.testcard.proof import prove


@dataclass(frozen=True, slots=True)
class Proof:
    """``wrong`` holds sentences, the first place first; empty = nothing is wrong."""

    path: Path
    media: MediaDescription
    card: CardProof | None  #: None = not read as a card
    wrong: tuple[str, ...]


def probe(path: str | Path) -> Proof:
    """Describe a media file and check all that can be checked.

    Raises:
        MediaError: no media file, or one that cannot be read.
    """
    path = Path(path)
    media = describe(path)
    if media.video is None or media.video.frame_rate is None:
        return Proof(path, media, None, ())
    claims = _Claims.of(media.provenance)
    wrong = _broken_claims(media, claims) if claims else []
    card = _prove_card(path, media, claims)
    if card.is_card:
        wrong += [str(finding) for finding in card.wrong]
    elif claims and claims.model == TESTCARD.name and claims.source is None:
        wrong.append("frame 0: no test card can be read, and the file says it is one")
    return Proof(path, media, card if card.is_card else None, tuple(wrong))


@dataclass(frozen=True, slots=True)
class _Claims:
    """What a file's provenance says that can be checked."""

    video: str
    model: str
    frame_rate: Fraction
    takes: tuple[int, ...]
    size_px: tuple[int, int]
    source: Source | None  #: the file that it goes on from

    @classmethod
    def of(cls, provenance: Mapping[str, object] | None) -> _Claims | None:
        """None when the file has no provenance of ours, or one of another shape."""
        fields: Any = provenance or {}
        try:
            width, height = fields["size_px"]
            takes = tuple(int(take) for take in fields["takes"])
            rate = Fraction(fields["frame_rate"])
            extends = fields.get("extends")
            source = extends and Source(
                int(extends["num_frames"]), bool(extends["included"]), bool(extends["as_draft"])
            )
            return cls(str(fields["video"]), str(fields["model"]), rate, takes, (int(width), int(height)), source)
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            return None


def _broken_claims(media: MediaDescription, claims: _Claims) -> list[str]:
    video = media.video
    assert video is not None
    wrong = []
    if video.num_frames != sum(claims.takes):
        wrong.append(f"picture: expected {sum(claims.takes)} frames, found {video.num_frames}")
    if video.frame_rate != claims.frame_rate:
        wrong.append(f"picture: expected {claims.frame_rate} frames a second, found {video.frame_rate}")
    if not video.is_constant:
        wrong.append("picture: frames are not shown at equal distances")
    if media.audio is None:
        wrong.append("sound: expected one, found none")
    else:
        expected = math.floor(sum(claims.takes) / claims.frame_rate * media.audio.sample_rate_hz)
        if media.audio.num_samples != expected:
            wrong.append(f"sound: expected {expected} samples, found {media.audio.num_samples}")
    return wrong


def _prove_card(path: Path, media: MediaDescription, claims: _Claims | None) -> CardProof:
    video = media.video
    assert video is not None and video.frame_rate is not None
    takes: Sequence[int] | None = claims.takes if claims else None
    return prove(
        read_frames(path),
        read_samples(path) if media.audio is not None else None,
        frame_rate=video.frame_rate,
        width=video.width_px,
        height=video.height_px,
        size=claims.size_px if claims else None,
        label=claims.video if claims else None,
        takes=takes,
        source=claims.source if claims else None,
        is_claimed=claims is not None and claims.model == TESTCARD.name,
    )
