"""Windows, blends and blocks of sound, with the test card's codec."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from ltx_ray.errors import Cancelled
from ltx_ray.models.ltx2.audio_vae import CELLS_PER_CALL
from ltx_ray.models.testcard import tune
from ltx_ray.spec.piece import Piece
from ltx_ray.spec.recipe import AudioDecodeRecipe, Fade
from ltx_ray.stages.audio_decode import BLOCK_CELLS, audio_decode
from ltx_ray.stages.decode import decode
from tests.unit.models.testcard.chain import Silent, decode_recipe
from tests.unit.stages.plain import PlainModel, encoded

RATE = Fraction(24)


class Steps:
    def __init__(self, stop_at=None):
        self.seen, self.stop_at = [], stop_at

    def alive(self, *, is_loading=False):
        pass

    def step(self, step_idx, num_steps):
        self.seen.append((step_idx, num_steps))
        if step_idx == self.stop_at:
            raise Cancelled


def levels(num_latents, level):
    """A latent of flat grey pictures."""
    return encoded(torch.full((8 * num_latents - 7, 64, 64, 3), level, dtype=torch.uint8))


def frames(recipe, latent, *, batch=1, **options):
    return np.concatenate(list(decode(recipe, latent, PlainModel(batch), Silent(), **options)))


def test_a_window_gives_its_own_frames_and_reports_each():
    steps = Steps()
    recipe = decode_recipe((Piece(0, 3),), 5, 9, RATE)
    assert len(list(decode(recipe, levels(3, 90), PlainModel(1), steps))) == 4
    assert steps.seen == [(0, 4), (1, 4), (2, 4), (3, 4)]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_blend_goes_in_even_steps_from_the_old_to_the_new(size):
    pieces = (Piece(0, 3),)
    recipe = decode_recipe(pieces, 4, 12, RATE, fade=Fade(pieces=pieces, start=10, num_frames=4))
    blended = frames(recipe, levels(3, 200), batch=size, previous_BCFHW=levels(3, 100))
    plain = [frames(decode_recipe(pieces, 4, 12, RATE), levels(3, level))[0, 0, 0, 0] for level in (100, 200)]
    assert plain == [100, 200]
    assert blended[:, 0, 0, 0].tolist() == [120, 140, 160, 180, 200, 200, 200, 200]


def test_a_blend_without_what_it_blends_with_is_refused_and_the_reverse():
    pieces = (Piece(0, 3),)
    with pytest.raises(ValueError, match="previous: missing"):
        frames(decode_recipe(pieces, 4, 12, RATE, fade=Fade(pieces=pieces, start=10, num_frames=4)), levels(3, 9))
    with pytest.raises(ValueError, match="previous: given"):
        frames(decode_recipe(pieces, 4, 12, RATE), levels(3, 9), previous_BCFHW=levels(3, 9))


def sound(start, num_samples, num_cells, control=None):
    cells = torch.from_numpy(tune.cell_tokens(np.arange(num_cells), 3))[None]
    pieces = (Piece(0, num_cells),)
    recipe = AudioDecodeRecipe(weights=(), pieces=pieces, start=start, num_samples=num_samples)
    return list(audio_decode(recipe, cells, PlainModel(), control or Silent()))


@pytest.mark.parametrize(("start", "num_samples"), [(0, 1_200_000), (7, 480_000), (478_560, 9), (700_000, 1)])
def test_blocks_of_sound_are_the_sound(start, num_samples):
    blocks = sound(start, num_samples, 640)
    assert max(block.shape[1] for block in blocks) <= 10 * 48_000
    joined = np.concatenate(blocks, axis=1)
    assert np.array_equal(joined[0], tune.sound(start, start + num_samples, 3))


def test_sound_stops_between_blocks():
    with pytest.raises(Cancelled):
        sound(0, 1_200_000, 640, Steps(stop_at=1))


def test_a_block_is_a_call_of_the_decoders():
    assert BLOCK_CELLS == CELLS_PER_CALL
