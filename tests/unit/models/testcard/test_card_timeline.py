from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ltx_ray.models.testcard import art, timeline
from ltx_ray.models.testcard.code import PERIOD, tag_of
from ltx_ray.models.testcard.layout import card_layout

LAYOUT = card_layout(128, 128)
FOX, OWL = tag_of("fox"), tag_of("owl")


def coarse_values(numbers, tag=FOX, layout=LAYOUT):
    """Clean cells in [-1, 1] of latents that say these numbers."""
    flat = np.array(numbers).ravel()
    cells = art.paint_cells(layout, flat % PERIOD, hue=0, frame_rate=Fraction(24))
    art.paint_coarse(cells, layout, flat, tag, frame_rate=Fraction(24))
    return cells.astype(np.float32) / 127.5 - 1


def numbers(num_latents, start):
    return [each.numbers for each in timeline.count_from_zero(num_latents, 0)] + np.array(start)


def noisy(values, sigma, seed):
    return (1 - sigma) * values + sigma * np.random.default_rng(seed).normal(size=values.shape).astype(np.float32)


def read(values, *, sigma=0.725, tag=FOX, free=None):
    free = np.ones(len(values) // 8, bool) if free is None else np.array(free)
    return timeline.read_noisy(values, LAYOUT.coarse, sigma=sigma, free=free, tag=tag)


@pytest.mark.parametrize("start", [0, 1, 96, 77_777, 2**19, 1_000_003])
def test_nine_frames_at_the_smallest_size_are_read_at_the_first_refine_sigma(start):
    for seed in range(3):
        said = read(noisy(coarse_values(numbers(2, start)), 0.725, seed))
        assert [each.numbers for each in said] == [tuple(row % PERIOD) for row in numbers(2, start)]
        assert {each.tag for each in said} == {FOX}


def test_the_tag_in_the_noise_wins_over_the_expected_one():
    said = read(noisy(coarse_values(numbers(4, 0), OWL), 0.725, 0), tag=FOX)
    assert all(each.tag != FOX for each in said)


def test_a_latent_out_of_order_is_read_as_what_it_is():
    right = numbers(5, 40)
    swapped = right.copy()
    swapped[[2, 3]] = right[[3, 2]]
    said = read(noisy(coarse_values(swapped), 0.725, 3))
    assert [each.numbers for each in said] == [tuple(row) for row in swapped]


def test_one_latent_of_another_video_is_seen():
    values = coarse_values(numbers(5, 40))
    values[32:40] = coarse_values(numbers(5, 40), OWL)[32:40]
    said = read(noisy(values, 0.725, 3))
    assert [each.tag == FOX for each in said] == [True, True, True, True, False]
    assert said[4].numbers == tuple(numbers(5, 40)[4])


@pytest.mark.parametrize("sigma", [0.4, 0.725, 0.95])
def test_noise_alone_says_nothing(sigma):
    for seed in range(2):
        assert read(noisy(np.zeros((24, 16, 16, 3), np.float32), sigma, seed), sigma=sigma) == [None] * 3


def test_at_full_noise_nothing_is_claimed():
    assert read(noisy(coarse_values(numbers(2, 0)), 1.0, 0), sigma=1.0) == [None, None]


def test_heavier_noise_is_read_as_a_whole():
    said = read(noisy(coarse_values(numbers(4, 500)), 0.9, 5), sigma=0.9)
    assert [each.numbers for each in said] == [tuple(row) for row in numbers(4, 500)]
    assert {each.tag for each in said} == {FOX}


def test_pinned_latents_are_not_looked_at():
    values = noisy(coarse_values(numbers(4, 500)), 0.725, 5)
    values[:16] = coarse_values(numbers(2, 9))
    said = read(values, free=[False, False, True, True])
    assert said[:2] == [None, None]
    assert said[2].numbers == tuple(numbers(4, 500)[2])


def test_counting_on_takes_numbers_and_tag_from_the_clean_latents():
    clean = coarse_values(numbers(3, 72), OWL)
    said = timeline.count_on(clean, LAYOUT.coarse, last=2, num_latents=5, tag=FOX)
    assert [each.numbers for each in said] == [tuple(row) for row in numbers(5, 72)]
    assert {each.tag for each in said} == {OWL}


def test_clean_latents_that_are_no_card_say_nothing():
    grey = np.zeros((16, 16, 16, 3), np.float32)
    assert timeline.count_on(grey, LAYOUT.coarse, last=1, num_latents=3, tag=FOX) == [None] * 3
    assert timeline.count_on(grey[:8], LAYOUT.coarse, last=0, num_latents=2, tag=FOX) == [None] * 2
    stuck = coarse_values([[5] * 8, [5] * 8])
    assert timeline.count_on(stuck, LAYOUT.coarse, last=1, num_latents=3, tag=FOX) == [None] * 3
