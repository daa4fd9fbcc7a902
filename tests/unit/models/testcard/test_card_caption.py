from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ltx_ray.models.testcard.caption import Caption, from_levels, to_levels

CAPTION = Caption(2, Fraction(24000, 1001), 211, "fox-seed7", "A fox, und ein Bär")


def test_words_come_back():
    assert from_levels(to_levels(CAPTION, 512)) == CAPTION


def test_words_survive_half_precision_and_a_little_noise():
    levels = to_levels(CAPTION, 512).astype(np.float16).astype(np.float32)
    shaken = levels + np.random.default_rng(0).uniform(-0.06, 0.06, 512).astype(np.float32)
    assert from_levels(shaken) == CAPTION


@pytest.mark.parametrize("capacity", [128, 130, 151, 200, 2000])
def test_a_prompt_that_is_too_long_ends_in_an_ellipsis(capacity):
    long = Caption(1, Fraction(24), 0, "fox", "\u00e4\u6f22\U0001f408 " * 200)
    got = from_levels(to_levels(long, capacity))
    assert got.label == "fox" and got.prompt.endswith("\u2026")
    assert long.prompt.startswith(got.prompt[:-1])


def test_a_label_that_is_too_long_is_cut_and_nothing_breaks():
    got = from_levels(to_levels(Caption(1, Fraction(24), 0, "x" * 400, "prompt"), 128))
    assert got.label.startswith("xxx") and got.label.endswith("\u2026")


def test_latents_without_words_have_no_caption():
    assert from_levels(np.zeros(512, np.float32)) is None
    assert from_levels(np.full(512, -1.0, np.float32)) is None
    assert from_levels(np.random.default_rng(1).normal(size=512).astype(np.float32)) is None


def test_a_caption_with_one_wrong_letter_is_no_caption():
    levels = to_levels(CAPTION, 512)
    text = slice(2 * 18, 2 * 18 + 1)
    levels[text] = np.where(levels[text] > 0, -1.0, 1.0)
    assert from_levels(levels) is None
