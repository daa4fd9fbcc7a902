"""Finding a card's time under noise: the only way stage 2 knows what stage 1 made.

x = (1 - sigma) x0 + sigma noise. One cell says next to nothing; all cells of all frames, tried against every possible
start, leave no doubt. Correlating with every one of 2^20 starts is cheap because the score of a 20-bit code is a sum of
two 10-bit tables, and a step of one frame is a rotation of the scrambled code. numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ltx_ray.models.testcard.code import (
    CHECK_BITS,
    COUNTER_BITS,
    PERIOD,
    SCRAMBLE,
    TAG_BYTES,
    UNSCRAMBLE,
    check_byte,
    to_bits,
)
from ltx_ray.models.testcard.layout import CELL_PX, Strip
from ltx_ray.models.testcard.tune import NUMBER_BITS, PERIOD_CELLS, spread_codes

Floats = NDArray[np.float32]
#: Frames tried together; more add nothing but time.
_COHERENT_FRAMES = 24
#: Accept a hypothesis that explains at least this share of the signal that must be there.
_ENOUGH = 0.5
#: And that stands this many standard deviations above pure noise.
_ABOVE_NOISE = 6.0
#: A tag that loses at most this much (in bits of full strength) against the best tag is the tag.
_TAG_SLACK = 4.0
_HALF = COUNTER_BITS // 2
_SIGNS = (to_bits(np.arange(1 << _HALF), _HALF).astype(np.float32) * 2 - 1).T.copy()


@dataclass(frozen=True, slots=True)
class Found:
    """What one latent says: the number of its first slot's frame and the tag; None = nothing to be read."""

    counters: tuple[int, ...]
    tag: int


def soft_bits(values_NRKC: Floats, strip: Strip) -> Floats:
    """Mean level [N, 32] of each cell of a strip, from cells in [-1, 1] or noisy."""
    rect, side = strip.rect.scaled_down(CELL_PX), strip.cell_px // CELL_PX
    area = values_NRKC[:, rect.top : rect.bottom, rect.left : rect.right]
    blocks = area.reshape(len(area), strip.rows, side, strip.columns, side, 3)
    return blocks.mean(axis=(2, 4, 5)).reshape(len(area), -1)


def noise_of_mean(strip: Strip, sigma: float) -> float:
    """Standard deviation of one soft bit."""
    return float(sigma / np.sqrt(3 * (strip.cell_px // CELL_PX) ** 2))


def find_start(soft_N32: Floats, weights: Floats) -> int:
    """The number of the first frame that explains the frames best; ``weights`` count repeated looks at a frame."""
    total = np.zeros(PERIOD, np.float32)
    for idx, (soft, weight) in enumerate(zip(soft_N32[:_COHERENT_FRAMES], weights, strict=False)):
        high, low = soft[:_HALF] @ _SIGNS, soft[_HALF:COUNTER_BITS] @ _SIGNS
        score = (high[:, None] + low[None, :]).ravel()
        by = idx * SCRAMBLE % PERIOD
        total[: PERIOD - by] += score[by:] * weight
        total[PERIOD - by :] += score[:by] * weight
    return int(total.argmax()) * UNSCRAMBLE % PERIOD


def explains(soft_N32: Floats, counters: NDArray[np.int64], sigma: float, noise: float, weights: Floats) -> bool:
    """True if these frame numbers are what the frames say, to any doubt worth having."""
    signs = to_bits(counters * SCRAMBLE % PERIOD, COUNTER_BITS).astype(np.float32) * 2 - 1
    share = float(((soft_N32[:, :COUNTER_BITS] * signs).mean(axis=1) * weights).sum() / weights.sum())
    deviation = noise / float(np.sqrt(COUNTER_BITS * weights.sum()))
    return share > max(_ENOUGH * (1 - sigma), _ABOVE_NOISE * deviation)


def find_tag(soft_N32: Floats, counters: NDArray[np.int64], weights: Floats, *, expected: int, sigma: float) -> int:
    """The tag by vote; ``expected`` wins over a best one that is better by noise only."""
    check = to_bits(check_byte(counters), CHECK_BITS).astype(np.float32) * 2 - 1
    said = -soft_N32[:, COUNTER_BITS : COUNTER_BITS + CHECK_BITS] * check
    votes = np.zeros((TAG_BYTES, CHECK_BITS), np.float32)
    looks = np.zeros(TAG_BYTES, np.float32)
    np.add.at(votes, counters % TAG_BYTES, said * weights[:, None])
    np.add.at(looks, counters % TAG_BYTES, weights)
    wanted = np.array([to_bits(np.array([expected >> (8 * idx) & 0xFF]), CHECK_BITS)[0] for idx in range(TAG_BYTES)])
    signs = wanted.astype(np.float32) * 2 - 1
    full = np.maximum(looks, 1)[:, None] * (1 - sigma)
    lost = float((2 * np.maximum(0.0, -votes * signs) / full).sum())
    if lost <= _TAG_SLACK:
        return expected
    bits = np.where(looks[:, None] > 0, votes > 0, wanted > 0)
    octets = bits @ (1 << np.arange(CHECK_BITS - 1, -1, -1))
    return int(sum(int(octet) << (8 * idx) for idx, octet in enumerate(octets)))


def find_cells(tokens_LC: Floats, sigma: float) -> int | None:
    """The number of the first of these audio cells, modulo PERIOD_CELLS; None = nothing to be read."""
    spread = tokens_LC[:_COHERENT_FRAMES, -spread_codes().shape[1] :]
    scores = spread_codes() @ spread.T
    total = np.zeros(PERIOD_CELLS, np.float32)
    for idx in range(len(spread)):
        total += np.roll(scores[:, idx], -idx)
    best = int(total.argmax())
    share = float(total[best]) / spread.size
    deviation = sigma / float(np.sqrt(spread.size))
    return best if share > max(_ENOUGH * (1 - sigma), _ABOVE_NOISE * deviation) else None


def find_key(tokens_LC: Floats, *, first_bit: int = NUMBER_BITS, num_bits: int = 8) -> int:
    """The tune's key, by vote of all cells."""
    votes = tokens_LC[:, first_bit : first_bit + num_bits].sum(axis=0) > 0
    return int(votes @ (1 << np.arange(num_bits)))
