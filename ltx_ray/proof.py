"""Is a finished file what it must be? What it says of itself is held against what is in it.

Any file with our provenance must have exactly the frames, rate and sound it was planned with. A test card is also read
back picture by picture and beep by beep, as far as its crop leaves them; one that goes on from another file must carry
that file's count on, unless that is no card. A file without provenance that is no card is only described.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ltx_ray.media.described import MediaDescription
from ltx_ray.media.probe import describe
from ltx_ray.media.read import read_frames, sample_blocks
from ltx_ray.models.testcard.expected import Source
from ltx_ray.models.testcard.facts import TESTCARD
from ltx_ray.models.testcard.findings import CardProof
from ltx_ray.models.testcard.proof import prove

#: What a file may claim: more would only make work.
_LONGEST_SIDE_PX, _MOST_FRAMES, _FEW_FRAMES = 8192, 10**9, 10_000


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
        return Proof(path, media, None, tuple(_undecodable(media)))
    claims = _Claims.of(media.provenance)
    wrong = _undecodable(media) + (_broken_claims(media, claims) if claims else [])
    if not media.video.is_decodable:
        return Proof(path, media, None, tuple(wrong))
    if claims and claims.model != TESTCARD.name and not claims.has_own_picture:
        return Proof(path, media, None, tuple(wrong))  # a card that another model worked on proves nothing
    card = _prove_card(path, media, claims)
    if card.is_card:
        wrong += [str(finding) for finding in card.wrong]
    elif claims and claims.is_card and claims.source is None:
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
    held: frozenset[int] = frozenset()  #: frames in whose place images stand
    has_own_sound: bool = True  #: it is what the model made
    has_own_picture: bool = True

    @classmethod
    def of(cls, provenance: Mapping[str, object] | None) -> _Claims | None:
        """None when the file has no provenance of ours, or one of another shape."""
        fields: Any = provenance or {}
        try:
            width, height = fields["size_px"]
            takes = tuple(int(take) for take in fields["takes"])
            rate = Fraction(*(int(part) for part in fields["frame_rate"].split("/")))
            extends = fields.get("extends")
            source = extends and Source(
                int(extends["num_frames"]), bool(extends["included"]), bool(extends["as_draft"])
            )
            size = int(width), int(height)
            held = frozenset(int(each["frame"]) for each in fields.get("images", ()) if each["held"])
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError, ZeroDivisionError):
            return None
        is_sane = rate > 0 and min(takes, default=0) > 0 and 0 < min(size) and max(size) <= _LONGEST_SIDE_PX
        is_sane &= not source or 0 <= source.num_frames <= (takes[0] if source.is_shown else _MOST_FRAMES)
        own = (fields.keys().isdisjoint(("audio", "detail")), fields.keys().isdisjoint(("picture", "retake", "detail")))
        claims = cls(str(fields["video"]), str(fields["model"]), rate, takes, size, source, held, *own)
        return claims if is_sane else None

    @property
    def is_card(self) -> bool:
        """Whether the picture is a test card by the file's own word."""
        return self.model == TESTCARD.name and self.has_own_picture


def _undecodable(media: MediaDescription) -> list[str]:
    parts = (("picture", media.video), ("sound", media.audio))
    return [
        f"{name}: cannot be decoded (codec {part.codec!r}); convert it with a program that knows it"
        for name, part in parts
        if part is not None and not part.is_decodable
    ]


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
    elif media.audio.is_decodable:
        expected = math.floor(sum(claims.takes) / claims.frame_rate * media.audio.sample_rate_hz)
        if media.audio.num_samples != expected:
            wrong.append(f"sound: expected {expected} samples, found {media.audio.num_samples}")
    return wrong


def _prove_card(path: Path, media: MediaDescription, claims: _Claims | None) -> CardProof:
    video = media.video
    assert video is not None and video.frame_rate is not None
    # A claim of far more frames than there are is wrong already, and would be gone through frame by frame.
    is_near = claims is not None and sum(claims.takes) < 2 * video.num_frames + _FEW_FRAMES
    takes: Sequence[int] | None = claims.takes if claims and is_near else None
    return prove(
        _of_one_size(read_frames(path), video.width_px, video.height_px),
        FileSound(path) if media.audio is not None and media.audio.is_decodable else None,
        frame_rate=video.frame_rate,
        width=video.width_px,
        height=video.height_px,
        size=claims.size_px if claims else None,
        label=claims.video if claims and claims.has_own_picture else None,
        takes=takes,
        source=claims.source if claims else None,
        held=claims.held if claims else frozenset(),
        has_own_sound=claims is None or claims.has_own_sound,
        is_claimed=claims is not None and claims.is_card,
    )


def _of_one_size(frames: Iterator[np.ndarray], width: int, height: int) -> Iterator[np.ndarray]:
    """``frames``, with black in the place of one of another size: nothing can be read in it where it should be."""
    for frame in frames:
        yield frame if frame.shape[:2] == (height, width) else np.zeros((height, width, 3), np.uint8)


class FileSound:
    """A file's sound like an array [channels, samples] that is decoded where it is asked for, best from front to back.

    Whole it would take 1.4 GB an hour.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rest: Iterator[np.ndarray] = iter(())
        self._first, self._held = 0, np.zeros((1, 0), np.float32)  #: the number of the first sample held, and all held

    @cached_property
    def shape(self) -> tuple[int, int]:
        num_channels = num_samples = 0
        for block in sample_blocks(self._path):
            num_channels, num_samples = len(block), num_samples + block.shape[1]
        return num_channels, num_samples

    def __getitem__(self, place: tuple[slice, slice]) -> np.ndarray:
        """``[:, start:stop]``."""
        start, stop = place[1].start, place[1].stop
        if start < self._first or not self._held.shape[1]:
            self._rest, self._first, self._held = sample_blocks(self._path), 0, np.zeros((self.shape[0], 0), np.float32)
        parts, num_held = [self._held], self._held.shape[1]
        while self._first + num_held < stop and (block := next(self._rest, None)) is not None:
            parts.append(block)
            num_held += block.shape[1]
            if self._first + num_held <= start:
                self._first, parts, num_held = self._first + num_held, [parts[-1][:, :0]], 0
        self._held = np.concatenate(parts, axis=1)
        skipped = min(start - self._first, num_held)
        self._first, self._held = self._first + skipped, self._held[:, skipped:]
        return self._held[:, : max(0, stop - self._first)]
