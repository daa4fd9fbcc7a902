"""Is this file the card it should be? Every frame number, flash and beep is checked; the first wrong one is named.

Three clocks must agree: the coarse strip of stage 1, the fine strip of stage 2 and the beeps of the sound. numpy only;
one frame in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ltx_ray.models.testcard.findings import CardProof, Tally
from ltx_ray.models.testcard.layout import Layout, card_layout, draft_layout
from ltx_ray.models.testcard.picture_check import FrameWords, check_picture
from ltx_ray.models.testcard.read import Frame, Reader
from ltx_ray.models.testcard.sound_check import check_sound


def prove(
    frames: Iterable[Frame],
    samples: NDArray[np.float32] | None,
    *,
    frame_rate: Fraction,
    width: int,
    height: int,
    size: tuple[int, int] | None = None,
    label: str | None = None,
    takes: Sequence[int] | None = None,
) -> CardProof:
    """Check a decoded file.

    Args:
        frames: uint8 [height, width, 3], in order.
        samples: [channels, n] at 48 kHz, or None when the file has no sound (which is wrong for a card).
        size: width and height before the centred crop, a draft's own or those of the card it is half of; None = the
            next multiples of 64 (32 for a draft).
        label: the video id; None = any, but one and the same throughout.
        takes: frames of each take, in order; numbers and beeps start again at 0 in each. None = one take.
    """
    readings = [FrameWords(reader) for reader in _readers(width, height, size)]
    for frame in frames:
        for seen in readings:
            seen.add(frame)
    best = max(readings, key=lambda seen: (seen.num_vouched, not seen.is_draft), default=None)
    num_frames = len(best.coarse) if best else 0
    if best is None or best.num_vouched < max(1, min(2, num_frames)):
        none = Tally(0, 0)
        return CardProof(num_frames, False, False, none, none, none, none, 0.0, ())
    lengths = list(takes) if takes else [num_frames]
    picture = check_picture(best, lengths, frame_rate, label)
    sound = check_sound(samples, lengths, frame_rate, label)
    wrong = sorted([*picture.wrong, *sound.wrong], key=lambda finding: finding.at_s)
    return CardProof(
        num_frames, True, best.is_draft, picture.coarse, picture.fine, picture.flashes, sound.beeps, sound.worst_s,
        tuple(wrong),
    )  # fmt: skip


def _readers(width: int, height: int, size: tuple[int, int] | None) -> list[Reader]:
    """Readers for the finished picture and for a draft, wherever the file can be a part of one."""
    full = size or (_up(width, 64), _up(height, 64))
    halves = [size, (size[0] // 2, size[1] // 2)] if size else [(_up(width, 32), _up(height, 32))]
    layouts: list[Layout] = []
    if _divides(full, 64) and min(full) >= 128:
        layouts.append(card_layout(*full))
    layouts += [draft_layout(*half) for half in halves if _divides(half, 32) and min(half) >= 64]
    return [
        Reader(each, (each.width - width) // 2, (each.height - height) // 2)
        for each in layouts
        if each.width >= width and each.height >= height
    ]


def _divides(size: tuple[int, int], step: int) -> bool:
    return size[0] % step == 0 and size[1] % step == 0


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
