"""Told through noise: a tag, latent by latent."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from ltx_ray.models.testcard import match
from ltx_ray.models.testcard.code import COARSE_SYNC, tag_of, words

NUMBERS = np.arange(153, 161)
#: Of one cell of the coarse strip, 2x2 cells of three colours, at the first level of stage 2.
DOUBT = 0.725 / 0.275 / math.sqrt(12)


def noisy_word(label: str, seed: int) -> np.ndarray:
    bits = words(NUMBERS, tag_of(label), sync=COARSE_SYNC, frame_rate=Fraction(24)).astype(np.float32)
    return bits * 2 - 1 + DOUBT * np.random.default_rng(seed).standard_normal(bits.shape).astype(np.float32)


@pytest.mark.parametrize("seed", [4283, 18245, 20542, 25237, 26944])
def test_noise_that_one_latent_of_thousands_has_names_no_other_video(seed):
    """The worst of 27,000 latents; a video of ten minutes has 1,800."""
    assert match.find_tag(noisy_word("journey", seed), NUMBERS, DOUBT, tag_of("journey")) == tag_of("journey")


def test_another_video_is_another_through_the_same_noise():
    found = [match.find_tag(noisy_word("another", seed), NUMBERS, DOUBT, tag_of("journey")) for seed in range(200)]
    assert tag_of("journey") not in found
