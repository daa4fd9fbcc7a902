"""Are the strips of every frame what they must be? Words are read as frames come by, and judged at the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction

from ltx_ray.models.testcard.code import TAG_BYTES, is_flash, tag_of
from ltx_ray.models.testcard.findings import Finding, Kind, Tally
from ltx_ray.models.testcard.read import NO_WORD, Frame, Reader, Word


@dataclass(slots=True)
class FrameWords:
    """Words of every frame, as one layout sees them."""

    reader: Reader
    coarse: list[Word] = field(default_factory=list)
    fine: list[Word] = field(default_factory=list)

    def add(self, frame: Frame) -> None:
        self.coarse.append(self.reader.coarse(frame))
        self.fine.append(self.reader.fine(frame))

    @property
    def is_draft(self) -> bool:
        return self.reader.layout.fine is None

    @property
    def num_vouched(self) -> int:
        """Frames whose number is confirmed, by the other strip or by the frame before: chance does not do that."""
        count, last = 0, NO_WORD
        for coarse, fine in zip(self.coarse, self.fine, strict=True):
            agrees = fine.is_whole and coarse.counter == fine.counter
            runs_on = last.is_whole and coarse.counter == last.counter + 1
            count += coarse.is_whole and (agrees or runs_on)
            last = coarse
        return count


@dataclass(slots=True)
class PictureCheck:
    wrong: list[Finding]
    coarse: Tally
    fine: Tally
    flashes: Tally


def check_picture(seen: FrameWords, takes: list[int], frame_rate: Fraction, label: str | None) -> PictureCheck:
    wrong: list[Finding] = []
    num_frames = len(seen.coarse)
    expected = [number for length in takes for number in range(length)]
    tag = _tag(seen, label)
    right = Counter[str]()
    lit = 0
    for idx, (coarse, fine, number) in enumerate(zip(seen.coarse, seen.fine, expected, strict=False)):
        at_s = float(idx / frame_rate)
        octet = tag[number % TAG_BYTES]
        right["coarse"] += coarse.is_whole and (coarse.counter, coarse.tag_byte) == (number, octet)
        right["fine"] += fine.is_whole and (fine.counter, fine.tag_byte) == (number, octet)
        finding = _wrong_word(coarse, None if seen.is_draft else fine, number, octet)
        if finding is not None:
            wrong.append(Finding(at_s, idx, *finding))
        flash = is_flash(number, frame_rate)
        lit += flash
        if coarse.is_whole and coarse.flash != flash:
            wrong.append(Finding(at_s, idx, "flash", _lit(flash), _lit(coarse.flash)))
        else:
            right["flash"] += flash and coarse.is_whole
    if num_frames != len(expected):
        end = float(min(num_frames, len(expected)) / frame_rate)
        found = f"{num_frames} frames"
        wrong.append(Finding(end, min(num_frames, len(expected)), "num frames", f"{len(expected)} frames", found))
    num_fine = 0 if seen.is_draft else num_frames
    return PictureCheck(
        wrong, Tally(right["coarse"], num_frames), Tally(right["fine"], num_fine), Tally(right["flash"], lit)
    )


def _wrong_word(coarse: Word, fine: Word | None, number: int, octet: int) -> tuple[Kind, str, str] | None:
    """What is wrong with a frame's strips; None if nothing is. ``fine`` None: a draft."""
    if not coarse.is_whole or (fine is not None and not fine.is_whole):
        strip = "the coarse strip" if not coarse.is_whole else "the fine strip"
        return "unreadable", "two strips" if fine is not None else "a strip", f"{strip} says nothing"
    other = coarse if fine is None else fine
    if coarse.counter != other.counter:
        return "strips disagree", f"number {number} on both", f"coarse {coarse.counter}, fine {other.counter}"
    if coarse.counter != number:
        return "frame", f"number {number}", f"number {coarse.counter}"
    if coarse.tag_byte != other.tag_byte:
        return "strips disagree", "one video on both", "coarse and fine strips of different videos"
    if coarse.tag_byte != octet:
        return "video", f"tag byte {octet:#04x} of this video", f"{coarse.tag_byte:#04x} of another"
    return None


def _tag(seen: FrameWords, label: str | None) -> tuple[int, ...]:
    """The tag's bytes: the label's, or what most frames say."""
    if label is not None:
        return tuple(tag_of(label) >> (8 * place) & 0xFF for place in range(TAG_BYTES))
    votes = [Counter[int]() for _ in range(TAG_BYTES)]
    for word in (*seen.coarse, *seen.fine):
        if word.is_whole:
            votes[word.counter % TAG_BYTES][word.tag_byte] += 1
    return tuple(vote.most_common(1)[0][0] if vote else NO_WORD.tag_byte for vote in votes)


def _lit(flash: bool) -> str:
    return "flash on" if flash else "flash off"
