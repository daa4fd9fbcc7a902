"""The arithmetic between frames, latents, audio cells and samples is exact at every rate."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx_ray.errors import PlanError
from ltx_ray.spec.grid import AudioGrid, VideoGrid, round_half_up

VIDEO = VideoGrid(frames_per_latent=8, px_per_latent=32, upscale=Fraction(2))
AUDIO = AudioGrid(slot_s=Fraction(1, 100), slots_per_cell=4, sample_rate_hz=48000)
RATES = st.sampled_from([Fraction(24), Fraction(25), Fraction(24000, 1001), Fraction(30000, 1001), Fraction(50)])


def test_a_wrong_frame_count_names_its_neighbours():
    with pytest.raises(PlanError, match=r"^videos\[3\].num_frames: 700 is not 8n\+1; nearest are 697 and 705$"):
        VIDEO.check_num_frames(700, where="videos[3].num_frames")


@given(st.integers(2, 5000))
def test_rounding_up_gives_the_next_valid_count(num_frames):
    rounded = VIDEO.round_up(num_frames)
    VIDEO.check_num_frames(rounded, where="x")
    assert 0 <= rounded - num_frames < 8 or rounded == 9


@given(st.integers(0, 5000))
def test_every_frame_lies_in_its_latent(frame_idx):
    latent_idx = VIDEO.latent_of(frame_idx)
    assert VIDEO.first_frame(latent_idx) <= frame_idx < VIDEO.first_frame(latent_idx + 1)


@given(st.integers(1, 10**6), RATES)
def test_audio_cells_cover_the_picture_and_no_cell_is_idle(num_frames, rate):
    duration_s = num_frames / rate
    num_cells = AUDIO.num_cells(duration_s)
    assert AUDIO.num_slots(num_cells) * AUDIO.slot_s >= duration_s
    assert num_cells == 1 or AUDIO.num_slots(num_cells - 1) * AUDIO.slot_s < duration_s


@given(st.integers(1, 10**6), RATES)
def test_audio_cell_count_is_the_published_formula(num_frames, rate):
    duration_s = num_frames / rate
    assert AUDIO.num_cells(duration_s) == -(-(25 * duration_s + Fraction(3, 4)) // 1)


def test_halves_round_up():
    assert [round_half_up(Fraction(n, 2)) for n in (1, 3, 5)] == [1, 2, 3]


def test_size_multiple_is_whole_latents_at_both_stages():
    assert VIDEO.size_multiple_px == 64
    assert VideoGrid(8, 32, Fraction(3, 2)).size_multiple_px == 96
