"""Is this file the card it should be? Every frame number, flash and beep is checked; the first wrong one is named.

Three clocks must agree: the coarse strip of stage 1, the fine strip of stage 2 and the beeps of the sound; those that a
crop has cut away are left out. numpy only; one frame in memory at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from fractions import Fraction

from ltx_ray.models.testcard.expected import Source, stretches
from ltx_ray.models.testcard.findings import CardProof, Tally
from ltx_ray.models.testcard.layout import Layout, card_layout, draft_layout
from ltx_ray.models.testcard.picture_check import FrameWords, check_picture
from ltx_ray.models.testcard.read import Frame, Reader
from ltx_ray.models.testcard.sound_check import Samples, SoundCheck, check_sound


def prove(  # noqa: PLR0913 - a file makes many claims, and any of them may be missing
    frames: Iterable[Frame],
    samples: Samples | None,
    *,
    frame_rate: Fraction,
    width: int,
    height: int,
    size: tuple[int, int] | None = None,
    label: str | None = None,
    takes: Sequence[int] | None = None,
    source: Source | None = None,
    held: Collection[int] = (),
    has_own_sound: bool = True,
    is_claimed: bool = False,
) -> CardProof:
    """Check a decoded file.

    Args:
        frames: uint8 [height, width, 3], in order.
        samples: [channels, n] at 48 kHz, or None when the file has no sound (which is wrong for a card).
        size: width and height before the centred crop, a draft's own or those of the card it is half of; None = the
            next multiples of 64 (32 for a draft).
        label: the video id; None = any, but one and the same throughout.
        takes: frames of each take, in order; numbers and beeps start again at 0 in each. None = as the strips tell.
        source: the file that the first take goes on from, with its count, tag and tune; None = there is none.
        held: frames in whose place images stand, of which nothing is asked.
        has_own_sound: False = another sound was laid under the picture, of which nothing is asked.
        is_claimed: the file says that it is a card; where a crop has left neither strip, the rest is still checked.
    """
    readings = [FrameWords(reader) for reader in _readers(width, height, size)]
    if source is not None and source.is_draft is not None:
        readings = [seen for seen in readings if seen.is_draft == source.is_draft]
    for frame in frames:
        for seen in readings:
            seen.add(frame)
    best = _best(readings, label, is_claimed)
    if best is None:
        none, num_frames = Tally(0, 0), len(readings[0].main) if readings else 0
        return CardProof(num_frames, False, False, none, none, none, none, 0.0, (), (), None)
    lengths = list(takes) if takes else best.lengths()
    expected = stretches(best, lengths, label, source)
    picture = check_picture(best, expected, frame_rate, held)
    sound = check_sound(samples, expected, frame_rate) if has_own_sound else SoundCheck([], Tally(0, 0), 0.0)
    wrong = sorted([*picture.wrong, *sound.wrong], key=lambda finding: finding.at_s)
    return CardProof(
        num_frames=len(best.main),
        is_card=True,
        is_draft=best.is_draft,
        coarse=picture.coarse,
        fine=picture.fine,
        flashes=picture.flashes,
        beeps=sound.beeps,
        worst_beep_s=sound.worst_s,
        wrong=tuple(wrong),
        cropped=best.cropped,
        takes_read=None if takes or len(lengths) == 1 else tuple(lengths),
        first_number=expected[0].first,
        num_unjudged=sum(stretch.num_frames for stretch in expected if not stretch.is_judged),
    )


def _best(readings: list[FrameWords], label: str | None, is_claimed: bool) -> FrameWords | None:
    """The reading that most frames vouch for; None = no card.

    A card that is one by its own word, and of which the crop may have left no strip, is read blind.
    """
    best = max(readings, key=lambda seen: (seen.num_vouched(label), not seen.is_draft), default=None)
    if best is not None and best.num_vouched(label) >= max(1, min(2, len(best.main))):
        return best
    return next((seen for seen in readings if is_claimed and not seen.is_seen), None)


def _readers(width: int, height: int, size: tuple[int, int] | None) -> list[Reader]:
    """Readers for the finished picture and for a draft, wherever the file can be a part of one."""
    full = size or (_up(width, 64), _up(height, 64))
    halves = [size, (size[0] // 2, size[1] // 2)] if size else [(_up(width, 32), _up(height, 32))]
    layouts: list[Layout] = []
    if _divides(full, 32) and min(full) >= 128:
        layouts.append(card_layout(*full))
    layouts += [draft_layout(*half) for half in halves if _divides(half, 32) and min(half) >= 64]
    return [
        # The encoder crops by an even number of pixels.
        Reader(each, (each.width - width) // 4 * 2, (each.height - height) // 4 * 2, width, height)
        for each in layouts
        if each.width >= width and each.height >= height
    ]


def _divides(size: tuple[int, int], step: int) -> bool:
    return size[0] % step == 0 and size[1] % step == 0


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
