from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from ltx_ray.errors import ModelError
from ltx_ray.models.testcard import tune
from ltx_ray.models.testcard.facts import TESTCARD
from ltx_ray.models.testcard.layout import card_layout, draft_layout
from ltx_ray.models.testcard.read import Reader
from ltx_ray.sampling.conditioning import add_keyframe
from ltx_ray.sampling.state import AudioLayout, empty_state


def strips(farm, frames):
    """(coarse, fine) counters of frames of any size."""
    width, height = frames[0].shape[1], frames[0].shape[0]
    make = card_layout if width == farm.width else draft_layout
    reader = Reader.whole(make(width, height))
    return [reader.coarse(frame).counter for frame in frames], [reader.fine(frame).counter for frame in frames]


@pytest.mark.parametrize(
    ("width", "height", "num_frames"), [(128, 128, 9), (128, 128, 57), (384, 256, 25), (704, 512, 17), (1088, 1920, 9)]
)
def test_both_stages_count_from_zero_at_any_size(farm, width, height, num_frames):
    made = farm(width, height)
    final, sound = made.render(num_frames, num_cells=1 + num_frames)
    kept = made.frames(final)[:: 1 if width < 1000 else 4]
    numbers = list(range(num_frames))[:: 1 if width < 1000 else 4]
    assert strips(made, kept) == (numbers, numbers)
    assert tune.read_cells(sound[0].numpy())[0].tolist() == list(range(1 + num_frames))


def test_every_step_sees_the_same_card(farm):
    made = farm()
    one_step, _ = farm(sigmas=(0.725, 0.0)).refine(*upscaled(made, *made.generate(17)))
    three_steps, _ = farm(sigmas=(0.725, 0.6, 0.3, 0.0)).refine(*upscaled(made, *made.generate(17)))
    assert torch.allclose(one_step, three_steps, atol=1e-5)


def test_another_seed_gives_the_same_frames(farm):
    one, other = farm().render(9, seed=1), farm().render(9, seed=2)
    assert all(np.array_equal(*pair) for pair in zip(farm().frames(one[0]), farm().frames(other[0]), strict=True))


def upscaled(made, latent, sound):
    return made.model.upscaler().upscale(latent), sound


def connector(made, latent, num_frames):
    """The last frames of a latent, decoded and encoded again."""
    frames = np.stack(made.frames(latent)[-num_frames:])
    return made.model.video_encoder().encode(torch.from_numpy(frames))


def next_segment(made, draft, final, sound, *, first_cell=26):
    """33 frames that repeat the last 9 (24..32, 1.0 s on) and their sound, taken from cell ``first_cell``."""
    place = {"audio_start": 26, "origin_s": Fraction(1)}
    known = sound[:, first_cell : first_cell + 9]
    draft_next, sound_next = made.generate(33, pinned=connector(made, draft, 9), sound=known, num_cells=40, **place)
    final_next, sound_next = made.refine(
        *upscaled(made, draft_next, sound_next), pinned=connector(made, final, 9), pinned_sound=known, seed=9, **place
    )
    return draft_next, final_next, tune.read_cells(sound_next[0].numpy())[0].tolist()


def test_a_connector_carries_both_clocks_and_the_sound_on(farm):
    made = farm()
    draft, sound = made.generate(33, num_cells=36)
    final, sound = made.refine(*upscaled(made, draft, sound))
    draft_next, final_next, cells = next_segment(made, draft, final, sound)
    numbers = list(range(24, 57))
    assert strips(made, made.frames(draft_next))[0] == numbers
    assert strips(made, made.frames(final_next)) == (numbers, numbers)
    assert cells == list(range(26, 66))


@pytest.mark.parametrize("first_cell", [25, 27])
def test_sound_pinned_beside_a_picture_of_another_time_is_silent(farm, first_cell):
    made = farm()
    draft, sound = made.generate(33, num_cells=36)
    final, sound = made.refine(*upscaled(made, draft, sound))
    *_, cells = next_segment(made, draft, final, sound, first_cell=first_cell)
    assert cells[9:] == [-1] * 31


def test_a_dropped_connector_starts_again_at_zero(farm):
    made = farm()
    draft, sound = made.generate(33)
    assert strips(made, made.frames(made.generate(17, seed=5)[0]))[0] == list(range(17))
    final, _ = made.refine(*upscaled(made, draft, sound))
    pinned = connector(made, final, 9)
    again, _ = made.refine(*upscaled(made, *made.generate(17)), pinned=pinned)
    coarse, fine = strips(made, made.frames(again))
    assert fine == list(range(24, 41)), "stage 2 counts on from its connector"
    assert coarse[9:] == list(range(9, 17)), "stage 1 had none, and it shows"


def test_a_connector_of_another_video_shows_its_tag(farm):
    fox, owl = farm(), farm(label="owl")
    theirs = connector(owl, owl.generate(33)[0], 9)
    frames = fox.frames(fox.generate(17, pinned=theirs)[0])
    reader = Reader.whole(draft_layout(64, 64))
    own = fox.frames(fox.generate(41)[0])[24:]
    differing = [reader.coarse(a).tag_byte != reader.coarse(b).tag_byte for a, b in zip(frames, own, strict=True)]
    assert strips(fox, frames)[0] == strips(fox, own)[0] and all(differing)


def test_a_connector_that_is_no_card_gives_no_signal(farm):
    made = farm()
    grey = torch.full((9, 64, 64, 3), 128, dtype=torch.uint8)
    frames = made.frames(made.generate(17, pinned=made.model.video_encoder().encode(grey))[0])
    assert strips(made, frames)[0] == [-1] * 17


def test_refining_another_videos_latents_shows(farm):
    fox, owl = farm(), farm(label="owl")
    final, _ = fox.refine(*upscaled(owl, *owl.generate(17)))
    reader = Reader.whole(card_layout(128, 128))
    for frame in fox.frames(final):
        assert reader.coarse(frame).counter == reader.fine(frame).counter
        assert reader.coarse(frame).tag_byte != reader.fine(frame).tag_byte


def test_refining_latents_in_the_wrong_order_shows(farm):
    made = farm()
    latent, sound = upscaled(made, *made.generate(41))
    final, _ = made.refine(latent[:, :, [0, 1, 3, 2, 4, 5]], sound)
    coarse, fine = strips(made, made.frames(final))
    assert fine == list(range(41))
    assert coarse == [*range(9), *range(17, 25), *range(9, 17), *range(25, 41)]


def test_refining_nothing_gives_no_signal(farm):
    made = farm()
    final, sound = made.refine(
        torch.zeros(1, TESTCARD.video_channels, 3, 4, 4), torch.zeros(1, 20, TESTCARD.audio_channels)
    )
    assert strips(made, made.frames(final))[0] == [-1] * 17
    assert not made.samples(sound, 17).any()


def test_sound_that_contradicts_its_connector_falls_silent(farm):
    made = farm()
    _, sound = made.generate(17, num_cells=40)
    latent = made.model.upscaler().upscale(made.generate(17)[0])
    wrong = torch.from_numpy(tune.cell_tokens(np.arange(100, 105), 0))[None]
    _, refined = made.refine(latent, sound, pinned_sound=wrong)
    assert set(tune.read_cells(refined[0, 5:].numpy())[0].tolist()) == {-1}


def test_the_sound_of_nine_frames_is_heard_through_the_noise(farm):
    made = farm()
    for seed in range(5):
        tokens = torch.from_numpy(tune.cell_tokens(np.arange(700, 710), tune.key_of("fox")))[None]
        latent = made.model.upscaler().upscale(made.generate(9)[0])
        _, sound = made.refine(latent, tokens, seed=seed)
        numbers, keys = tune.read_cells(sound[0].numpy())
        assert numbers.tolist() == list(range(700, 710)) and set(keys.tolist()) == {tune.key_of("fox")}


def test_key_frames_are_left_as_they_are(farm):
    made = farm()
    video = empty_state(made.layout(2, 64), TESTCARD.video_channels)
    still = torch.randn(1, TESTCARD.video_channels, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    guided = add_keyframe(video, still, 0, grid=TESTCARD.video)
    audio = empty_state(AudioLayout(0, 5, Fraction(0)), TESTCARD.audio_channels)
    velocity, _ = made.denoiser(1).velocity(guided, audio, 1.0, made.text())
    x0 = guided.latent - velocity
    assert torch.equal(x0[:, -4:], guided.clean[:, -4:])
    assert velocity.shape == guided.latent.shape


def test_a_descent_of_no_stage_is_refused(farm):
    with pytest.raises(ModelError, match="stage"):
        farm().model.denoiser()
