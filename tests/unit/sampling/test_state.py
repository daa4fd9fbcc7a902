"""Tokens are the latent in (frame, row, column) order, and back."""

from __future__ import annotations

from fractions import Fraction

import torch

from ltx_ray.sampling.state import AudioLayout, VideoLayout, empty_state, pack_video, unpack_video

LAYOUT = VideoLayout(3, 2, 4, Fraction(24))


def test_packing_orders_tokens_by_frame_row_and_column():
    latent = torch.arange(2 * 3 * 2 * 4, dtype=torch.float32).reshape(1, 2, 3, 2, 4)
    tokens = pack_video(latent)
    assert tokens.shape == (1, LAYOUT.num_tokens, 2)
    assert torch.equal(tokens[0, (1 * 2 + 1) * 4 + 3], latent[0, :, 1, 1, 3])


def test_unpacking_undoes_packing():
    latent = torch.randn((2, 5, 3, 2, 4), generator=torch.Generator().manual_seed(1))
    assert torch.equal(unpack_video(pack_video(latent), LAYOUT), latent)


def test_an_empty_state_is_zero_and_free():
    state = empty_state(AudioLayout(4, 6, Fraction(1)), 32)
    assert state.latent.shape == (1, 6, 32)
    assert not state.latent.any()
    assert bool((state.denoise_mask == 1.0).all())
    assert state.appended_positions is None
