"""What each kind of conditioning does to a state, and that it never touches the state it was given."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from ltx_ray.sampling.conditioning import (
    add_keyframe,
    add_reference,
    append,
    freeze,
    hold,
    keep_outside,
    without_guides,
)
from ltx_ray.sampling.noise import draw
from ltx_ray.sampling.positions import keyframe_positions, reference_positions
from ltx_ray.sampling.state import AudioLayout, VideoLayout, empty_state
from ltx_ray.spec.grid import AudioGrid, VideoGrid

GRID = VideoGrid(8, 32, Fraction(2))
AUDIO = AudioGrid(Fraction(1, 100), 4, 16000)


def mask_of(state):
    return state.denoise_mask[0, :, 0].tolist()


def test_a_held_prefix_is_pinned_and_the_rest_free(video):
    picture = draw(1, (1, 8, 16))
    held = hold(video, picture)
    assert mask_of(held) == [0.0] * 8 + [1.0] * 16
    assert torch.equal(held.clean[:, :8], picture)
    assert mask_of(video) == [1.0] * 24
    assert torch.equal(video.clean, torch.zeros(1, 24, 16))


def test_a_range_may_be_held_anywhere_with_part_of_its_strength(video):
    held = hold(video, draw(1, (1, 8, 16)), start=16, strength=0.75)
    assert mask_of(held) == [1.0] * 16 + [0.25] * 8


def test_more_tokens_than_there_are_cannot_be_held(video):
    with pytest.raises(AssertionError, match=r"tokens \[20, 28\)"):
        hold(video, draw(1, (1, 8, 16)), start=20)


def test_freezing_pins_every_token(audio):
    sound = draw(1, audio.latent.shape)
    frozen = freeze(audio, sound)
    assert set(mask_of(frozen)) == {0.0}
    assert torch.equal(frozen.clean, sound)


@pytest.mark.parametrize(
    ("start", "stop", "made_anew"),
    [
        (Fraction(0), Fraction(1, 24), [0]),  # frame 0 is latent 0 alone
        (Fraction(1, 24), Fraction(9, 24), [1]),  # frames [1, 9)
        (Fraction(8, 24), Fraction(10, 24), [1, 2]),  # half of each
        (Fraction(9, 24), Fraction(100), [2]),
    ],
)
def test_a_range_of_picture_is_made_anew_by_whole_latents(video, start, stop, made_anew):
    source = draw(1, video.latent.shape)
    kept = keep_outside(video, source, start, stop, grid=GRID)
    assert mask_of(kept) == [1.0 if token // 8 in made_anew else 0.0 for token in range(24)]
    assert torch.equal(kept.clean, source)


def test_an_empty_range_is_refused(video):
    with pytest.raises(AssertionError, match="empty"):
        keep_outside(video, video.latent, Fraction(5, 24), Fraction(5, 24), grid=GRID)


def test_a_range_of_sound_is_made_anew_by_whole_cells_counted_from_the_segment():
    # Cells 25..34 of the take in a segment that starts at 0.98 s: the first spans [-0.01, 0.03) of it.
    state = empty_state(AudioLayout(25, 10, Fraction(98, 100)), 32)
    kept = keep_outside(state, draw(1, state.latent.shape), Fraction(3, 100), Fraction(8, 100), grid=AUDIO)
    assert mask_of(kept) == [0.0, 1.0, 1.0] + [0.0] * 7


def test_a_connector_inside_the_range_stays_pinned(video):
    connector = hold(video, draw(1, (1, 8, 16)))
    kept = keep_outside(connector, draw(2, video.latent.shape), Fraction(0), Fraction(9, 24), grid=GRID)
    assert mask_of(kept) == [0.0] * 8 + [1.0] * 8 + [0.0] * 8


def test_a_key_frame_is_appended_at_its_frame(video):
    still = draw(1, (1, 16, 1, 2, 4))
    guided = add_keyframe(video, still, 13, grid=GRID, strength=0.8)
    assert guided.latent.shape == (1, 32, 16)
    assert mask_of(guided) == [1.0] * 24 + [pytest.approx(0.2)] * 8
    assert torch.equal(guided.clean[0, 24:], still[0].flatten(1).T)
    assert torch.equal(guided.appended_positions, keyframe_positions(video.layout, GRID, frame_idx=13))


def test_a_reference_keeps_its_own_smaller_grid(video):
    control = draw(1, (1, 16, 3, 1, 2))
    guided = add_reference(video, control, grid=GRID, downscale=2)
    assert mask_of(guided)[24:] == [0.0] * 6
    layout = VideoLayout(3, 1, 2, Fraction(24))
    assert torch.equal(guided.appended_positions, reference_positions(layout, GRID, downscale=2))


def test_guides_add_up_in_order(video):
    first, second = draw(1, (1, 8, 16)), draw(2, (1, 2, 16))
    guided = append(append(video, first, torch.zeros(1, 3, 8, 2)), second, torch.ones(1, 3, 2, 2))
    assert torch.equal(guided.clean[:, 24:], torch.cat([first, second], dim=1))
    assert guided.appended_positions.shape == (1, 3, 10, 2)
    assert guided.appended_positions[0, 0, :, 0].tolist() == [0.0] * 8 + [1.0] * 2


def test_a_guide_without_a_position_for_each_token_is_refused(video):
    with pytest.raises(AssertionError, match="one position a token"):
        append(video, draw(1, (1, 8, 16)), torch.zeros(1, 3, 7, 2))


def test_a_prefix_can_still_be_held_when_guides_were_appended_first(video):
    guided = append(video, draw(1, (1, 8, 16)), torch.zeros(1, 3, 8, 2))
    assert mask_of(hold(guided, draw(2, (1, 8, 16)))) == [0.0] * 8 + [1.0] * 16 + [0.0] * 8


def test_taking_guides_off_gives_back_the_state_without_them(video):
    held = hold(video, draw(2, (1, 8, 16)))
    back = without_guides(append(held, draw(1, (1, 8, 16)), torch.zeros(1, 3, 8, 2)))
    assert torch.equal(back.latent, held.latent)
    assert torch.equal(back.clean, held.clean)
    assert torch.equal(back.denoise_mask, held.denoise_mask)
    assert back.appended_positions is None
    assert without_guides(held) is held
