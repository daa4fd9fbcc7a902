from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx_ray.models.testcard.code import (
    COARSE_SYNC,
    PERIOD,
    check_byte,
    counters_of,
    is_flash,
    tag_byte,
    tag_bytes_of,
    tag_of,
    words,
)

RATE = Fraction(24)


@given(st.integers(0, PERIOD - 1), st.integers(0, 2**32 - 1))
def test_a_word_says_its_frame_and_its_part_of_the_tag(counter, tag):
    bits = words(np.array([counter]), tag, sync=COARSE_SYNC, frame_rate=RATE)
    assert counters_of(bits).tolist() == [counter]
    assert tag_bytes_of(bits).tolist() == tag_byte(tag, np.array([counter])).tolist()


def test_four_frames_in_a_row_say_the_whole_tag():
    counters = np.arange(101, 105)
    octets = tag_bytes_of(words(counters, tag_of("fox"), sync=COARSE_SYNC, frame_rate=RATE))
    said = sum(int(octet) << (8 * (int(n) % 4)) for n, octet in zip(counters, octets, strict=True))
    assert said == tag_of("fox")


def test_neighbours_differ_in_many_bits():
    bits = words(np.arange(2000), 0, sync=COARSE_SYNC, frame_rate=RATE)[:, :20]
    assert (bits[1:] != bits[:-1]).sum(axis=1).min() >= 3


def test_starts_whose_codes_differ_in_one_bit_only_are_told_apart_by_the_check():
    near, far = np.arange(0, 64), np.arange(0, 64) + PERIOD // 2
    assert len(np.unique(check_byte(near) ^ check_byte(far))) > 20


@pytest.mark.parametrize(
    ("rate", "lit"),
    [
        (Fraction(24), [0, 1, 2, 24, 25, 26, 48, 49, 50]),
        (Fraction(30000, 1001), [0, 1, 2, 30, 31, 32]),
        (Fraction(5), [0, 5, 10, 15]),
        (Fraction(1, 2), [0, 1, 2, 3]),
    ],
)
def test_the_flash_lights_frames_that_begin_in_the_first_tenth_of_a_second(rate, lit):
    assert [frame for frame in range(lit[-1] + 1) if is_flash(frame, rate)] == lit


@given(st.fractions(min_value=1, max_value=120, max_denominator=1001), st.integers(0, 60))
def test_every_second_has_a_flash(rate, second):
    first = -(-second * rate.numerator // rate.denominator)
    assert is_flash(first, rate)
