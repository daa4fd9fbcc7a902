"""What time a segment's latents say it is: counted on from clean ones, or read out of noisy ones.

A segment's latent 0 holds one frame and repeats it in its eight slots, every later one holds eight. numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ltx_ray.models.testcard import match
from ltx_ray.models.testcard.code import COUNTER_BITS, PERIOD, TAG_BYTES, counters_of, tag_bytes_of
from ltx_ray.models.testcard.facts import TESTCARD
from ltx_ray.models.testcard.layout import WORD_CELLS, Strip
from ltx_ray.models.testcard.match import Floats

_GRID = TESTCARD.video
_FRAMES = _GRID.frames_per_latent
#: Latents whose frames are tried together to find a segment's start.
_LATENTS_TOGETHER = 4
#: A clean strip's faintest cell is stronger than this; full strength is 1.
_CLEAN = 0.25


@dataclass(frozen=True, slots=True)
class Said:
    """One latent's eight frame numbers, modulo PERIOD, and the tag of its video."""

    numbers: tuple[int, ...]
    tag: int


def count_from_zero(num_latents: int, tag: int) -> list[Said | None]:
    """A segment that nothing was pinned to."""
    return [Said(numbers, tag) for numbers in _numbers(num_latents, 0)]


def count_on(values_NRK3: Floats, strip: Strip, *, last: int, num_latents: int, tag: int) -> list[Said | None]:
    """Numbers that run on from a run of clean latents, of which ``last`` is the last; ``values`` are their cells.

    The tag is theirs too, so another video's connector stays visible; ``tag`` fills what one frame alone does not say.
    None throughout if the clean latents are no card or their numbers do not run on.
    """
    soft = match.soft_bits(values_NRK3, strip)
    bits = (soft > 0).astype(np.uint8)
    numbers = counters_of(bits)
    runs_on = len(numbers) == _FRAMES or bool((np.diff(numbers[-_FRAMES:]) % PERIOD == 1).all())
    if not runs_on or float(np.abs(soft[-_FRAMES:, :COUNTER_BITS]).min()) < _CLEAN:
        return [None] * num_latents
    for number, octet in zip(numbers.tolist(), tag_bytes_of(bits).tolist(), strict=True):
        place = 8 * (number % TAG_BYTES)
        tag = (tag & ~(0xFF << place)) | octet << place
    start = int(numbers[-1]) - last * _FRAMES
    return [Said(each, tag) for each in _numbers(num_latents, start)]


def read_noisy(
    values_NRK3: Floats, strip: Strip, *, sigma: float, free: NDArray[np.bool_], tag: int
) -> list[Said | None]:
    """What noisy latents say, latent by latent; those not ``free`` are not looked at.

    The whole is read first, then every latent is asked whether it agrees; one that does not is read alone. ``tag`` is
    the expected one: it decides only what noise leaves open. Under so much noise that one latent cannot be told from
    another, the whole is believed.
    """
    latents = np.flatnonzero(free).tolist()
    said: list[Said | None] = [None] * len(free)
    if not latents or sigma >= 1:
        return said
    soft = (match.soft_bits(values_NRK3, strip) / (1 - sigma)).reshape(-1, _FRAMES, WORD_CELLS)
    doubt = match.noise_of_mean(strip, sigma) / (1 - sigma)
    whole = _read_run(soft, _first_run(latents), doubt)
    numbers = None if whole is None else _numbers(len(free), whole)
    if numbers is not None:
        shown = np.array([numbers[each] for each in latents]).ravel()
        tag = match.find_tag(soft[latents].reshape(-1, WORD_CELLS), shown, doubt, tag)
    for latent in latents:
        own = None if numbers is None else numbers[latent]
        if own is None or match.contradicts(soft[latent], np.array(own), doubt):
            alone = _read_run(soft, [latent], doubt)
            if alone is None:
                continue
            own = _numbers(len(free), alone)[latent]
        said[latent] = Said(own, match.find_tag(soft[latent], np.array(own), doubt, tag))
    return said


def _numbers(num_latents: int, start: int) -> list[tuple[int, ...]]:
    """Frame numbers of each latent's slots when the segment's frame 0 has the number ``start``."""
    later = (range(_GRID.first_frame(latent), _GRID.first_frame(latent + 1)) for latent in range(1, num_latents))
    return [(start % PERIOD,) * _FRAMES, *(tuple((start + frame) % PERIOD for frame in frames) for frames in later)]


def _first_run(latents: list[int]) -> list[int]:
    return [each for idx, each in enumerate(latents[:_LATENTS_TOGETHER]) if each == latents[0] + idx]


def _read_run(soft_F832: Floats, run: list[int], doubt: float) -> int | None:
    """The number of the segment's frame 0, from latents in order; None if no number explains them."""
    rows = [soft_F832[each].mean(axis=0, keepdims=True) if each == 0 else soft_F832[each] for each in run]
    weights = [np.full(1, _FRAMES, np.float32) if each == 0 else np.ones(_FRAMES, np.float32) for each in run]
    first = match.find_start(np.concatenate(rows), np.concatenate(weights), doubt)
    return None if first is None else first - _GRID.first_frame(run[0])
