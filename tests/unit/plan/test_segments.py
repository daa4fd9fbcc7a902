"""Windows tile a take exactly, whatever its length."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from ltx_ray.plan.segments import decode_windows
from ltx_ray.spec.grid import VideoGrid

GRID = VideoGrid(frames_per_latent=8, px_per_latent=32, upscale=Fraction(2))


@given(st.integers(1, 3000), st.integers(1, 80))
def test_windows_tile_the_take_and_begin_at_latents(num_frames, window_latents):
    windows = decode_windows(num_frames, window_latents, GRID)
    assert [frame for start, stop in windows for frame in range(start, stop)] == list(range(num_frames))
    assert all(start == GRID.first_frame(GRID.latent_of(start)) for start, _ in windows)
    assert all(GRID.latent_of(stop - 1) - GRID.latent_of(start) < window_latents for start, stop in windows)
