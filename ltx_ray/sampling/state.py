"""The one latent state: what every workflow is said in.

B batch, T tokens, C channels. The state is float32 throughout, whatever the model computes in.
A token with ``denoise_mask`` 0 is pinned: it equals ``clean`` before, during and after sampling, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

import torch
from torch import Tensor


class VideoLayout(NamedTuple):
    """Video tokens in (frame, row, column) order; ``frame_rate`` turns latent frames into seconds."""

    num_latents: int
    height: int
    width: int
    frame_rate: Fraction

    @property
    def tokens_each(self) -> int:
        """Of a latent."""
        return self.height * self.width

    @property
    def num_tokens(self) -> int:
        return self.num_latents * self.tokens_each


class AudioLayout(NamedTuple):
    """Audio cells [start, start + num_cells) of the take; ``origin_s`` is the segment's own time 0 in take seconds."""

    start: int
    num_cells: int
    origin_s: Fraction

    @property
    def tokens_each(self) -> int:
        """Of a cell."""
        return 1

    @property
    def num_tokens(self) -> int:
        return self.num_cells


class Tokens(NamedTuple):
    """Tokens [B, T, C] of both modalities; T and C differ between them."""

    video: Tensor
    audio: Tensor


@dataclass(frozen=True, slots=True)
class LatentState:
    """One modality of one segment. ``clean`` matters only where ``denoise_mask`` < 1.

    The first ``layout.num_tokens`` tokens are the layout's; any after them are appended guides, which leave again after
    the descent.
    """

    latent: Tensor  #: [B, T, C] at the current noise level
    clean: Tensor  #: [B, T, C]
    denoise_mask: Tensor  #: [B, T, 1], 1 = free, 0 = pinned, between = partly
    layout: VideoLayout | AudioLayout
    #: float32 [1, axes, appended tokens, 2], positions of the tokens after the layout's own; None = there are none
    appended_positions: Tensor | None = None

    def with_latent(self, latent: Tensor) -> LatentState:
        return replace(self, latent=latent)

    @property
    def video_layout(self) -> VideoLayout:
        assert isinstance(self.layout, VideoLayout)
        return self.layout

    @property
    def audio_layout(self) -> AudioLayout:
        assert isinstance(self.layout, AudioLayout)
        return self.layout


def empty_state(layout: VideoLayout | AudioLayout, num_channels: int) -> LatentState:
    """A state of zeros, every token free."""
    tokens = torch.zeros(1, layout.num_tokens, num_channels)
    return LatentState(tokens, tokens, torch.ones(1, layout.num_tokens, 1), layout)


def pack_video(latent_BCFHW: Tensor) -> Tensor:
    """[B, C, F, H, W] to tokens [B, F*H*W, C]."""
    return latent_BCFHW.flatten(2).transpose(1, 2).contiguous()


def unpack_video(tokens_BTC: Tensor, layout: VideoLayout) -> Tensor:
    """Tokens [B, F*H*W, C] to [B, C, F, H, W]."""
    batch, _, channels = tokens_BTC.shape
    shape = (batch, channels, layout.num_latents, layout.height, layout.width)
    return tokens_BTC.transpose(1, 2).reshape(shape).contiguous()
