"""Connectors: of the segment before, and of a film from outside."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from ltx_ray.errors import Cancelled, PlanError
from ltx_ray.models.testcard import tune
from ltx_ray.spec.piece import Piece
from ltx_ray.spec.recipe import ConditionRecipe, ConnectRecipe, Footage
from ltx_ray.stages.condition import condition
from ltx_ray.stages.connect import connect
from tests.unit.models.testcard.chain import Silent
from tests.unit.stages.plain import PlainModel, cells, encoded

RECIPE = ConnectRecipe(
    weights=(),
    pieces=(Piece(1, 4),),
    start=0,
    stop=17,
    cells=Piece(3, 8),
    width_px=64,
    height_px=64,
    tiling="stream",
)
CELLS = torch.zeros(1, 5, 192)


def test_latents_that_survive_the_codec_come_back_with_a_first_one_of_one_frame():
    latent = encoded(cells(25))
    made = connect(RECIPE, latent[:, :, 1:4], CELLS, PlainModel(), Silent())
    assert torch.equal(made["video"][:, :, 1:], latent[:, :, 2:4])
    assert made["video"].shape == (1, 416, 3, 2, 2) and torch.equal(made["audio"], CELLS)
    assert float(made["reencode_error"]) == 0.0


def test_context_around_the_connector_is_left_out():
    latent = encoded(cells(41))
    recipe = replace(RECIPE, pieces=(Piece(0, 6),), start=16, stop=33)
    made = connect(recipe, latent, CELLS, PlainModel(), Silent())
    assert torch.equal(made["video"][:, :, 1:], latent[:, :, 3:5])


def test_the_error_is_that_of_encoding_again():
    latent = encoded(cells(25))[:, :, 1:4]
    spoiled = latent.clone()
    spoiled[:, 384:] = 1.0  # words, which do not come back from pictures
    error = float(connect(RECIPE, spoiled, CELLS, PlainModel(), Silent())["reencode_error"])
    wanted = spoiled[:, :, 1:]
    assert error == pytest.approx(float((latent[:, :, 1:] - wanted).square().mean().sqrt() / wanted.std()))


def test_a_smaller_connector_is_of_means_and_has_no_error():
    latent = encoded(cells(25, 128))[:, :, 1:4]
    made = connect(RECIPE, latent, CELLS, PlainModel(), Silent())
    pictures = torch.cat(list(PlainModel().video_decoder().decode(latent, 0, 17))).float()
    means = pictures.reshape(17, 64, 2, 64, 2, 3).mean(dim=(2, 4)).round().to(torch.uint8)
    assert torch.equal(made["video"], encoded(means))
    assert set(made) == {"video", "audio"}


def test_frames_off_the_grid_are_refused():
    with pytest.raises(PlanError, match="connector: 16 is not 8n"):
        connect(replace(RECIPE, stop=16), encoded(cells(17)), CELLS, PlainModel(), Silent())


def test_a_connector_stops_between_decoding_and_encoding():
    class Stop:
        def alive(self, *, is_loading=False):
            pass

        def step(self, step_idx, num_steps):
            if step_idx == 17:
                raise Cancelled

    with pytest.raises(Cancelled):
        connect(RECIPE, encoded(cells(17)), CELLS, PlainModel(), Stop())


def test_a_film_from_outside_becomes_latents_and_the_cells_of_its_tune():
    frames = cells(9)
    footage = Footage(frame_rate=Fraction(24), width_px=64, height_px=64)
    recipe = ConditionRecipe(weights=(), footage=footage, start=120, stop=129, num_cells=9, sample_rate_hz=48000)
    samples = np.stack([tune.sound(48_000, 258_000, 5)] * 2)
    made = condition(recipe, iter(frames.numpy()), samples, PlainModel(), num_context_samples=192_000)
    assert torch.equal(made["video"], encoded(frames))
    numbers, keys = tune.read_cells(made["audio"][0].numpy())
    assert numbers.tolist() == list(range(9)) and set(keys.tolist()) == {5}, "second 5 is second 0 of the tune"
