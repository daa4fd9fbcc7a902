"""Finding a card's time under noise: the only way stage 2 knows what stage 1 made.

x = (1 - sigma) x0 + sigma noise. One cell says next to nothing; all cells of all frames, tried against every possible
start, leave no doubt. Correlating with every one of 2^20 starts is cheap because the score of a 20-bit code is a sum of
two 10-bit tables, and a step of one frame is a rotation of the scrambled code. numpy only.
"""

from __future__ import annotations

import math

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
    from_bits,
    to_bits,
)
from ltx_ray.models.testcard.layout import CELL_PX, WORD_CELLS, Strip
from ltx_ray.models.testcard.tune import (
    KEY_SPREAD_BITS,
    PERIOD_CELLS,
    key_codes,
    key_part,
    number_part,
    spread_codes,
)

Floats = NDArray[np.float32]
#: Audio cells tried together; more add nothing but time.
_COHERENT_CELLS = 24
#: Accept a hypothesis that explains at least this share of the signal that must be there.
_ENOUGH = 0.5
#: And that stands this many standard deviations above noise: the best of a million guesses reaches five and a half.
_ABOVE_NOISE = 6.5
#: One guess is told from another when half the signal stands this many deviations above noise.
_TELLABLE = 3.5
#: A tag that loses at most this much (in bits of full strength, twice) against the best tag is the tag. Noise alone
#: reaches 4 in one latent of four thousand and 7 in one of two million, and a long video has thousands; another video's
#: tag differs in about sixteen of its 32 bits and loses 32.
_TAG_SLACK = 10.0
#: Above this deviation of one bit of the tag its bits cannot be told one by one.
_TAG_DOUBT = 0.65
_HALF = COUNTER_BITS // 2
_SIGNS = (to_bits(np.arange(1 << _HALF), _HALF).astype(np.float32) * 2 - 1).T.copy()


def soft_bits(values_NRKC: Floats, strip: Strip) -> Floats:
    """Mean level [N, 32] of each cell of a strip, from cells in [-1, 1] or noisy."""
    rect, side = strip.rect.scaled_down(CELL_PX), strip.cell_px // CELL_PX
    area = values_NRKC[:, rect.top : rect.bottom, rect.left : rect.right]
    blocks = area.reshape(len(area), strip.rows, side, strip.columns, side, 3)
    means: Floats = blocks.mean(axis=(2, 4, 5))
    return means.reshape(len(area), WORD_CELLS)


def noise_of_mean(strip: Strip, sigma: float) -> float:
    """Standard deviation of one soft bit."""
    return sigma / math.sqrt(3 * (strip.cell_px // CELL_PX) ** 2)


def find_start(soft_N32: Floats, weights: Floats, doubt: float) -> int | None:
    """The number of the first of these frames, in order; None if none explains them.

    Bits are scaled so that full strength is 1, and ``doubt`` is the standard deviation of one of them; ``weights`` say
    how many looks a row is the mean of.
    """
    total = np.zeros(PERIOD, np.float32)
    for idx, (soft, weight) in enumerate(zip(soft_N32, weights, strict=True)):
        high, low = soft[:_HALF] @ _SIGNS, soft[_HALF:COUNTER_BITS] @ _SIGNS
        score = ((high * weight)[:, None] + (low * weight)[None, :]).ravel()
        by = idx * SCRAMBLE % PERIOD
        total[: PERIOD - by] += score[by:]
        total[PERIOD - by :] += score[:by]
    best = int(total.argmax())
    num_looks = COUNTER_BITS * float(weights.sum())
    is_clear = float(total[best]) / num_looks > max(_ENOUGH, _ABOVE_NOISE * doubt / math.sqrt(num_looks))
    return best * UNSCRAMBLE % PERIOD if is_clear else None


def contradicts(soft_N32: Floats, counters: NDArray[np.int64], doubt: float) -> bool:
    """True if these frames clearly have other numbers; False also where noise lets nobody tell."""
    signs = to_bits(counters * SCRAMBLE % PERIOD, COUNTER_BITS).astype(np.float32) * 2 - 1
    return _lacks(soft_N32[:, :COUNTER_BITS], signs, doubt)


def _lacks(soft: Floats, signs: Floats, doubt: float) -> bool:
    """Whether less than half of a code's strength is there, and noise of deviation ``doubt`` a place is no excuse."""
    deviation = doubt / math.sqrt(signs.size)
    return _ENOUGH > _TELLABLE * deviation and float((soft * signs).mean()) < _ENOUGH


def find_tag(soft_N32: Floats, counters: NDArray[np.int64], doubt: float, expected: int) -> int:
    """The tag by vote of these frames; ``expected`` wins over one that fits better by noise only."""
    check = to_bits(check_byte(counters), CHECK_BITS).astype(np.float32) * 2 - 1
    said = -soft_N32[:, COUNTER_BITS : COUNTER_BITS + CHECK_BITS] * check
    votes, looks = np.zeros((TAG_BYTES, CHECK_BITS), np.float32), np.zeros((TAG_BYTES, 1), np.float32)
    np.add.at(votes, counters % TAG_BYTES, said)
    np.add.at(looks, counters % TAG_BYTES, 1)
    votes /= np.maximum(looks, 1)
    wanted = to_bits(np.array([expected >> (8 * place) & 0xFF for place in range(TAG_BYTES)]), CHECK_BITS)
    agreeing = votes * (wanted.astype(np.float32) * 2 - 1)
    lost = float(2 * np.maximum(0.0, -agreeing).sum())
    seen = looks[:, 0] > 0
    if doubt / math.sqrt(float(looks[seen].mean())) > _TAG_DOUBT:
        is_expected = float(agreeing[seen].mean()) > _ENOUGH
    else:
        is_expected = lost <= _TAG_SLACK
    if is_expected:
        return expected
    octets = from_bits(np.where(seen[:, None], votes > 0, wanted > 0).astype(np.uint8))
    return sum(octet << (8 * place) for place, octet in enumerate(octets.tolist()))


def find_cells(tokens_LC: Floats, sigma: float) -> int | None:
    """The number of the first of these audio cells, modulo PERIOD_CELLS; None = nothing to be read."""
    spread = number_part(tokens_LC[:_COHERENT_CELLS])
    scores = spread_codes() @ spread.T
    total = np.zeros(PERIOD_CELLS, np.float32)
    for idx in range(len(spread)):
        total += np.roll(scores[:, idx], -idx)
    best = int(total.argmax())
    share = float(total[best]) / spread.size
    deviation = sigma / math.sqrt(spread.size)
    return best if share > max(_ENOUGH * (1 - sigma), _ABOVE_NOISE * deviation) else None


def cells_contradict(tokens_LC: Floats, numbers: NDArray[np.int64], key: int, sigma: float) -> bool:
    """True if these audio cells clearly have other numbers or another key; False also where noise lets nobody tell."""
    keys = np.broadcast_to(key_codes()[key], (len(numbers), KEY_SPREAD_BITS))
    pairs = ((number_part(tokens_LC), spread_codes()[numbers % PERIOD_CELLS]), (key_part(tokens_LC), keys))
    return any(_lacks(said / (1 - sigma), code, sigma / (1 - sigma)) for said, code in pairs)


def find_key(tokens_LC: Floats) -> int:
    """The tune's key, as all cells say it together."""
    return int((key_codes() @ key_part(tokens_LC).sum(axis=0)).argmax())
