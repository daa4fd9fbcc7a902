"""What a model is told of a call, and what of it is settled beforehand."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from ltx_ray.models.testcard.model import TestCard
from ltx_ray.sampling.state import pack_video
from ltx_ray.spec.conditions import Hold
from ltx_ray.spec.piece import Piece
from ltx_ray.spec.recipe import Call, GenerateRecipe, RefineRecipe, SamplingRecipe
from ltx_ray.stages.segment import Given, sample_segment
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
    "conditions": (),
    "call": None,
}
LATER = {"origin_s": Fraction(2), "audio_start": 51}
#: A connector of two latents and three cells, and what it takes to hold a latent and three cells at the other end.
HEAD = (
    Hold(modality="video", piece=Piece(0, 2), start=0),
    Hold(modality="audio", piece=Piece(0, 3), start=0),
)
TAIL = (
    Hold(modality="video", piece=Piece(2, 3), start=5),
    Hold(modality="audio", piece=Piece(1, 4), start=15),
)


TEXT = {"prompt": torch.zeros(1)}


class Recorder(TestCard):
    """Keeps what its denoiser is asked, and answers with nothing."""

    def __init__(self):
        self.asked, self.calls = [], []

    def denoiser(self, call=None):
        self.calls.append(call)
        return self

    def velocity(self, video, audio, sigma, text):
        self.asked.append((video, audio, sigma, text))
        return torch.zeros_like(video.latent), torch.zeros_like(audio.latent)


def known(num_latents, num_cells, seed=0):
    generator = torch.Generator().manual_seed(seed)
    video = torch.randn(1, 416, num_latents, 2, 2, generator=generator)
    return [Given(video), Given(torch.randn(1, num_cells, 192, generator=generator))]


def asked(recipe, given=()):
    model = Recorder()
    made = sample_segment(recipe, TEXT, model, Silent(), given=given)
    return model.asked, made


def test_audio_has_its_place_in_the_take_and_its_origin_in_the_segment():
    ((_, audio, *_), *_), _ = asked(GenerateRecipe(**FIELDS | LATER))
    assert (audio.audio_layout.start, audio.audio_layout.num_cells, audio.audio_layout.origin_s) == (51, 20, 2)


@pytest.mark.parametrize("call", [None, Call(stage=2, label="fox", is_free=True)])
def test_a_model_is_told_of_the_call_what_the_recipe_says_and_the_text_stays_as_it_is(call):
    """A head that is missing is no reason to call a segment free."""
    model = Recorder()
    sample_segment(RefineRecipe(**FIELDS | LATER | {"call": call}), TEXT, model, Silent())
    assert model.calls == [call]
    assert all(text is TEXT for *_, text in model.asked)


def test_head_and_tail_stand_where_the_recipe_says_in_every_step_and_at_the_end():
    recipe = RefineRecipe(**FIELDS | {"conditions": (*HEAD, *TAIL)})
    head, tail = known(2, 3), known(1, 3, seed=1)
    (head_video, _), (head_audio, _), (tail_video, _), (tail_audio, _) = *head, *tail
    calls, made = asked(recipe, [*head, *tail])
    assert torch.equal(made["video"][:, :, :2], head_video)
    assert torch.equal(made["video"][:, :, 5:6], tail_video)
    assert torch.equal(made["audio"][:, :3], head_audio)
    assert torch.equal(made["audio"][:, 15:18], tail_audio)
    for video, audio, *_ in calls:
        assert torch.equal(video.latent[:, :8], pack_video(head_video))
        assert torch.equal(video.latent[:, 20:], pack_video(tail_video))
        assert video.denoise_mask[0, :, 0].tolist() == [0.0] * 8 + [1.0] * 12 + [0.0] * 4
        assert audio.denoise_mask[0, :, 0].tolist() == [0.0] * 3 + [1.0] * 12 + [0.0] * 3 + [1.0] * 2


def test_a_connector_may_be_held_in_part_and_its_sound_never_is():
    recipe = GenerateRecipe(**FIELDS | {"conditions": (replace(HEAD[0], strength=0.75), HEAD[1])})
    ((video, audio, *_), *_), _ = asked(recipe, known(2, 3))
    assert set(video.denoise_mask[0, :8, 0].tolist()) == {0.25}
    assert set(audio.denoise_mask[0, :3, 0].tolist()) == {0.0}


@pytest.mark.parametrize("given", [known(3, 3), known(2, 4), known(1, 3)])
def test_what_is_given_must_be_what_the_recipe_names(given):
    with pytest.raises(ValueError, match=r"hold of (video|audio): latent of shape"):
        asked(GenerateRecipe(**FIELDS | {"conditions": HEAD}), given)


def test_nothing_is_left_unpinned_and_nothing_pinned_unasked():
    with pytest.raises(ValueError, match="conditions: 0 given, and the recipe has 2"):
        asked(GenerateRecipe(**FIELDS | {"conditions": HEAD}))
    with pytest.raises(ValueError, match="conditions: 2 given, and the recipe has 0"):
        asked(GenerateRecipe(**FIELDS), known(1, 1))
    with pytest.raises(ValueError, match="hold of video: mask missing"):
        asked(GenerateRecipe(**FIELDS | {"conditions": (replace(HEAD[0], has_mask=True), HEAD[1])}), known(2, 3))
    with pytest.raises(AssertionError, match="are not in"):
        asked(GenerateRecipe(**FIELDS | {"conditions": (replace(HEAD[0], start=5), HEAD[1])}), known(2, 3))
