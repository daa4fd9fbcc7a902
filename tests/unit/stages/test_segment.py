"""What a model is told of a call, and what of it is settled beforehand."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from ltx_ray.models.testcard.model import TestCard
from ltx_ray.sampling.state import pack_video
from ltx_ray.spec.recipe import GenerateRecipe, Piece, Pins, RefineRecipe, SamplingRecipe
from ltx_ray.stages.segment import Known, sample_segment
from tests.unit.models.testcard.chain import Silent

FIELDS = {
    "weights": (),
    "sampling": SamplingRecipe(sampler="euler", sigmas=(1.0, 0.5, 0.0)),
    "video_seed": 1,
    "audio_seed": 2,
    "num_frames": 41,
    "frame_rate": Fraction(24),
    "width_px": 64,
    "height_px": 64,
    "origin_s": Fraction(0),
    "audio_start": 0,
    "num_audio_cells": 20,
    "head": None,
    "tail": None,
    "label": None,
}
LATER = {"origin_s": Fraction(2), "audio_start": 51}
HEAD = Pins(latents=Piece(0, 2), latent_start=0, cells=Piece(0, 3), cell_start=0)


class Recorder(TestCard):
    """Keeps what its denoiser is asked, and answers with nothing."""

    def __init__(self):
        self.asked = []

    def denoiser(self):
        return self

    def velocity(self, video, audio, sigma, text):
        self.asked.append((video, audio, sigma, text))
        return torch.zeros_like(video.latent), torch.zeros_like(audio.latent)


def known(num_latents, num_cells, seed=0):
    generator = torch.Generator().manual_seed(seed)
    video = torch.randn(1, 416, num_latents, 2, 2, generator=generator)
    return Known(video, torch.randn(1, num_cells, 192, generator=generator))


def asked(recipe, stage="generate", **given):
    model = Recorder()
    made = sample_segment(recipe, {"prompt": torch.zeros(1)}, model, Silent(), stage=stage, **given)
    return model.asked, made


def test_audio_has_its_place_in_the_take_and_its_origin_in_the_segment():
    ((_, audio, *_), *_), _ = asked(GenerateRecipe(**FIELDS | LATER))
    assert (audio.audio_layout.start, audio.audio_layout.num_cells, audio.audio_layout.origin_s) == (51, 20, 2)


def test_a_model_is_told_that_a_segment_is_free_only_where_the_plan_says_so():
    def told(recipe, stage):
        return "free" in asked(recipe, stage)[0][0][3]

    assert told(RefineRecipe(**FIELDS | LATER, is_free=True), "refine")
    assert not told(RefineRecipe(**FIELDS | LATER), "refine"), "a head that is missing is no reason"
    assert not told(GenerateRecipe(**FIELDS | LATER), "generate")


def test_head_and_tail_stand_where_the_recipe_says_in_every_step_and_at_the_end():
    tail = Pins(latents=Piece(2, 3), latent_start=5, cells=Piece(1, 4), cell_start=15)
    recipe = RefineRecipe(**FIELDS | {"head": HEAD, "tail": tail})
    head_known, tail_known = known(2, 3), known(1, 3, seed=1)
    calls, made = asked(recipe, "refine", connector=head_known, tail=tail_known)
    assert torch.equal(made["video"][:, :, :2], head_known.video)
    assert torch.equal(made["video"][:, :, 5:6], tail_known.video)
    assert torch.equal(made["audio"][:, :3], head_known.audio)
    assert torch.equal(made["audio"][:, 15:18], tail_known.audio)
    for video, audio, *_ in calls:
        assert torch.equal(video.latent[:, :8], pack_video(head_known.video))
        assert torch.equal(video.latent[:, 20:], pack_video(tail_known.video))
        assert video.denoise_mask[0, :, 0].tolist() == [0.0] * 8 + [1.0] * 12 + [0.0] * 4
        assert audio.denoise_mask[0, :, 0].tolist() == [0.0] * 3 + [1.0] * 12 + [0.0] * 3 + [1.0] * 2


def test_a_connector_may_be_held_in_part_and_its_sound_never_is():
    recipe = GenerateRecipe(**FIELDS | {"head": replace(HEAD, strength=0.75)})
    ((video, audio, *_), *_), _ = asked(recipe, connector=known(2, 3))
    assert set(video.denoise_mask[0, :8, 0].tolist()) == {0.25}
    assert set(audio.denoise_mask[0, :3, 0].tolist()) == {0.0}


@pytest.mark.parametrize("given", [known(3, 3), known(2, 4), known(1, 3)])
def test_what_is_given_must_be_what_the_recipe_names(given):
    with pytest.raises(ValueError, match="connector: latent of shape"):
        asked(GenerateRecipe(**FIELDS | {"head": HEAD}), connector=given)


def test_nothing_is_left_unpinned_and_nothing_pinned_unasked():
    with pytest.raises(ValueError, match="connector: missing, and pinned"):
        asked(GenerateRecipe(**FIELDS | {"head": HEAD}))
    with pytest.raises(ValueError, match="tail: given, and the recipe pins none"):
        asked(GenerateRecipe(**FIELDS), tail=known(1, 1))
    with pytest.raises(AssertionError, match="are not in"):
        asked(GenerateRecipe(**FIELDS | {"head": replace(HEAD, latent_start=5)}), connector=known(2, 3))
