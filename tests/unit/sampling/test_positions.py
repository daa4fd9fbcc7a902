"""Positions in seconds and pixels, exact at any rational rate and anywhere in a take."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from ltx_ray.sampling.conditioning import append
from ltx_ray.sampling.positions import (
    audio_positions,
    audio_seconds,
    keyframe_positions,
    reference_positions,
    state_positions,
    video_positions,
    video_seconds,
)
from ltx_ray.sampling.state import AudioLayout, VideoLayout, empty_state
from ltx_ray.spec.grid import AudioGrid, VideoGrid

GRID = VideoGrid(8, 32, Fraction(2))
AUDIO = AudioGrid(Fraction(1, 100), 4, 16000)
FILM = VideoLayout(3, 2, 3, Fraction(24000, 1001))


def bounds(positions, axis):
    """The distinct [start, stop) along an axis, in order."""
    return list(dict.fromkeys(map(tuple, positions[0, axis].tolist())))


def near(fractions):
    return [tuple(pytest.approx(float(bound), abs=1e-6) for bound in pair) for pair in fractions]


def test_the_first_latent_lasts_one_frame_and_every_later_one_eight():
    frame_s = Fraction(1001, 24000)
    seconds = [(0 * frame_s, frame_s), (frame_s, 9 * frame_s), (9 * frame_s, 17 * frame_s)]
    assert video_seconds(FILM, GRID) == seconds
    assert bounds(video_positions(FILM, GRID), 0) == near(seconds)


def test_rows_and_columns_are_pixels_and_tokens_run_frame_row_column():
    positions = video_positions(FILM, GRID)
    assert positions.shape == (1, 3, 18, 2)
    assert positions[0, 1, :, 0].tolist() == [0, 0, 0, 32, 32, 32] * 3
    assert positions[0, 2, :, 1].tolist() == [32, 64, 96] * 6
    assert positions[0, 0, :6, 0].unique().tolist() == [0.0]


def test_audio_cells_cover_1_slot_and_then_4_each():
    assert audio_seconds(AudioLayout(0, 3, Fraction(0)), AUDIO) == [
        (Fraction(0), Fraction(1, 100)),
        (Fraction(1, 100), Fraction(5, 100)),
        (Fraction(5, 100), Fraction(9, 100)),
    ]


def test_audio_counts_from_the_segment_and_may_begin_before_its_time_0():
    layout = AudioLayout(25, 2, Fraction(98, 100))
    positions = audio_positions(layout, AUDIO)
    assert positions.dtype == torch.float32
    expected = torch.tensor([[[[-0.01, 0.03], [0.03, 0.07]]]])
    assert torch.equal(positions, expected)


def test_a_segment_looks_the_same_wherever_whole_cells_put_it_in_a_take():
    here = audio_positions(AudioLayout(5, 50, Fraction(17, 100)), AUDIO)
    there = audio_positions(AudioLayout(90_005, 50, Fraction(17, 100) + 3600), AUDIO)
    assert torch.equal(here, there)


@pytest.mark.parametrize("frame_idx", [0, 1, 7, 100])
def test_a_still_guide_lasts_one_frame_at_any_frame(frame_idx):
    positions = keyframe_positions(FILM, GRID, frame_idx=frame_idx)
    assert bounds(positions, 0) == near([(frame_idx / FILM.frame_rate, (frame_idx + 1) / FILM.frame_rate)])
    assert torch.equal(positions[:, 1:], video_positions(FILM, GRID)[:, 1:, :6])


def test_a_film_guide_inside_a_segment_takes_eight_frames_a_latent():
    positions = keyframe_positions(FILM, GRID, frame_idx=20, num_latents=2)
    rate = FILM.frame_rate
    assert bounds(positions, 0) == near([(20 / rate, 28 / rate), (28 / rate, 36 / rate)])


def test_a_film_guide_at_frame_0_lies_as_the_segment_does():
    positions = keyframe_positions(FILM, GRID, frame_idx=0, num_latents=3)
    assert torch.equal(positions, video_positions(FILM, GRID))


def test_a_smaller_reference_is_spread_over_the_whole_picture():
    small = VideoLayout(3, 1, 2, FILM.frame_rate)
    positions = reference_positions(small, GRID, downscale=2)
    assert bounds(positions, 1) == [(0.0, 64.0)]
    assert bounds(positions, 2) == [(0.0, 64.0), (64.0, 128.0)]
    assert bounds(positions, 0) == bounds(video_positions(FILM, GRID), 0)


def test_positions_of_a_state_end_with_those_of_its_guides():
    state = empty_state(FILM, 16)
    assert torch.equal(state_positions(state, GRID), video_positions(FILM, GRID))
    guide = keyframe_positions(FILM, GRID, frame_idx=5)
    positions = state_positions(append(state, torch.zeros(1, 6, 16), guide), GRID)
    assert torch.equal(positions[:, :, 18:], guide)
    assert positions.shape[2] == 24


def test_positions_of_a_sound_state_follow_its_layout():
    state = empty_state(AudioLayout(3, 4, Fraction(1, 7)), 32)
    assert torch.equal(state_positions(state, AUDIO), audio_positions(state.audio_layout, AUDIO))
    moved = replace(state, layout=AudioLayout(4, 4, Fraction(1, 7)))
    assert not torch.equal(state_positions(moved, AUDIO), state_positions(state, AUDIO))
