"""Are the strips of every frame what they must be? Words are read as frames come by, and judged at the end.

A strip that a crop has cut away is not judged: what the other one says is still held against the frame's place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate, pairwise

from ltx_ray.models.testcard.code import PERIOD, TAG_BYTES, is_flash, tag_of
from ltx_ray.models.testcard.findings import Finding, Kind, Tally, Visible
from ltx_ray.models.testcard.read import NO_WORD, Frame, Reader, Word
from ltx_ray.models.testcard.stretch import Stretch


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
    def cropped(self) -> tuple[Visible, ...]:
        """What is cut away; flashes are seen as long as one strip is."""
        coarse, fine = not self.reader.sees_coarse, not (self.is_draft or self.reader.sees_fine)
        clocks: dict[Visible, bool] = {"coarse": coarse, "fine": fine, "flashes": not self.is_seen}
        return tuple(clock for clock, is_cropped in clocks.items() if is_cropped)

    @property
    def is_seen(self) -> bool:
        """At least one strip is in the frame."""
        return self.reader.sees_coarse or self.reader.sees_fine

    @property
    def main(self) -> list[Word]:
        """Words of the coarse strip, or of the fine one where the coarse one is cut away."""
        return self.coarse if self.reader.sees_coarse else self.fine

    def num_vouched(self, label: str | None) -> int:
        """Frames whose number is confirmed, by the other strip, the frame before or the label: chance does not."""
        octets = None if label is None else octets_of(label)
        count, last = 0, NO_WORD
        for word, fine in zip(self.main, self.fine, strict=True):
            agrees = self.reader.sees_coarse and fine.is_whole and word.counter == fine.counter
            runs_on = last.is_whole and word.counter == last.counter + 1
            is_named = octets is not None and _carries(word, octets) and word.counter < len(self.main)
            count += word.is_whole and (agrees or runs_on or is_named)
            last = word
        return count

    def lengths(self, stop: int | None = None) -> list[int]:
        """Frames of each take before frame ``stop``, as the strips tell them: numbers start again at 0 where one does.

        All strips must say 0 with this video's tag, and numbers must run on from there: a 0 amid a run is no take.
        """
        stop = len(self.main) if stop is None else stop
        octet, starts = self.voted_octets(0, stop)[0], [0]
        following: tuple[int, int] | None = None
        for idx in range(stop - 1, 0, -1):
            words = [strip[idx] for strip in self.strips]
            is_zero = bool(words) and all((word.counter, word.tag_byte) == (0, octet) for word in words)
            if is_zero and (following is None or following[1] in (0, following[0] - idx)):
                starts.insert(1, idx)
            if self.main[idx].is_whole:
                following = idx, self.main[idx].counter
        return [end - start for start, end in pairwise([*starts, stop])]

    def first_number(self, start: int, stop: int) -> int:
        """The number of frame ``start``, as the first word in [start, stop) tells it; 0 if there is none."""
        words = enumerate(self.main[start:stop])
        return next(((word.counter - idx) % PERIOD for idx, word in words if word.is_whole), 0)

    def voted_octets(self, start: int, stop: int) -> tuple[int, ...]:
        """The tag's bytes as most of frames [start, stop) say them."""
        return _voted([*self.coarse[start:stop], *self.fine[start:stop]])

    @property
    def strips(self) -> list[list[Word]]:
        """Words of the strips that are in the frame."""
        seen = [(self.coarse, self.reader.sees_coarse), (self.fine, self.reader.sees_fine)]
        return [words for words, is_seen in seen if is_seen]


@dataclass(slots=True)
class PictureCheck:
    wrong: list[Finding]
    coarse: Tally
    fine: Tally
    flashes: Tally


def check_picture(
    seen: FrameWords, stretches: Sequence[Stretch], frame_rate: Fraction, held: Collection[int] = ()
) -> PictureCheck:
    """What the strips of every frame say against what they must; nothing is asked of frames that are ``held``."""
    wrong: list[Finding] = []
    num_frames, num_expected = len(seen.main), sum(stretch.num_frames for stretch in stretches)
    right = Counter[str]()
    for idx, (number, octet) in _expected(seen, stretches):
        if idx >= num_frames:
            break
        if idx in held:
            continue
        coarse, fine, at_s = seen.coarse[idx], seen.fine[idx], float(idx / frame_rate)
        right["judged"] += 1
        right["coarse"] += coarse.is_whole and (coarse.counter, coarse.tag_byte) == (number, octet)
        right["fine"] += fine.is_whole and (fine.counter, fine.tag_byte) == (number, octet)
        words = {"coarse": coarse} if seen.reader.sees_coarse else {}
        words |= {"fine": fine} if seen.reader.sees_fine else {}
        finding = _wrong_word(words, number, octet)
        if finding is not None:
            wrong.append(Finding(at_s, idx, *finding))
        flash, main = is_flash(number, frame_rate), seen.main[idx]
        right["lit"] += flash
        if main.is_whole and main.flash != flash:
            wrong.append(Finding(at_s, idx, "flash", _lit(flash), _lit(main.flash)))
        else:
            right["flash"] += flash and main.is_whole
    if num_frames != num_expected:
        end = min(num_frames, num_expected)
        found = f"{num_frames} frames"
        wrong.append(Finding(float(end / frame_rate), end, "num frames", f"{num_expected} frames", found))
    return PictureCheck(
        wrong,
        Tally(right["coarse"], right["judged"] if seen.reader.sees_coarse else 0),
        Tally(right["fine"], right["judged"] if seen.reader.sees_fine else 0),
        Tally(right["flash"], right["lit"] if seen.is_seen else 0),
    )


def _expected(seen: FrameWords, stretches: Sequence[Stretch]) -> Iterator[tuple[int, tuple[int, int]]]:
    """Frames of which something is asked: their place in the file, and the number and tag byte they must show."""
    starts = list(accumulate((stretch.num_frames for stretch in stretches), initial=0))
    unnamed: list[Word] = []
    for start, stretch in zip(starts, stretches, strict=False):
        if stretch.label is None and stretch.is_judged:
            unnamed += [
                *seen.coarse[start : start + stretch.num_frames],
                *seen.fine[start : start + stretch.num_frames],
            ]
    voted = _voted(unnamed)
    for start, stretch in zip(starts, stretches, strict=False):
        if stretch.is_judged:
            octets = voted if stretch.label is None else octets_of(stretch.label)
            for idx in range(stretch.num_frames):
                number = (stretch.first + idx) % PERIOD
                yield start + idx, (number, octets[number % TAG_BYTES])


def _wrong_word(words: dict[str, Word], number: int, octet: int) -> tuple[Kind, str, str] | None:
    """What is wrong with the strips of a frame that are in it, by name; None if nothing is."""
    for strip, word in words.items():
        if not word.is_whole:
            return "unreadable", "two strips" if len(words) > 1 else "a strip", f"the {strip} strip says nothing"
    if not words:
        return None
    *_, other = words.values()
    first = next(iter(words.values()))
    if first.counter != other.counter:
        return "strips disagree", f"number {number} on both", f"coarse {first.counter}, fine {other.counter}"
    if first.counter != number:
        return "frame", f"number {number}", f"number {first.counter}"
    if first.tag_byte != other.tag_byte:
        return "strips disagree", "one video on both", "coarse and fine strips of different videos"
    if first.tag_byte != octet:
        return "video", f"tag byte {octet:#04x} of this video", f"{first.tag_byte:#04x} of another"
    return None


def octets_of(label: str) -> tuple[int, ...]:
    """The bytes of a video's tag, in the order in which they go out."""
    return tuple(tag_of(label) >> (8 * place) & 0xFF for place in range(TAG_BYTES))


def _voted(words: Sequence[Word]) -> tuple[int, ...]:
    """The tag's bytes as most words say them."""
    votes = [Counter[int]() for _ in range(TAG_BYTES)]
    for word in words:
        if word.is_whole:
            votes[word.counter % TAG_BYTES][word.tag_byte] += 1
    return tuple(vote.most_common(1)[0][0] if vote else NO_WORD.tag_byte for vote in votes)


def _carries(word: Word, octets: tuple[int, ...]) -> bool:
    return word.tag_byte == octets[word.counter % TAG_BYTES]


def _lit(flash: bool) -> str:
    return "flash on" if flash else "flash off"
