"""How held tokens stay held: from a velocity to x0, and back to ``clean`` where nothing may move.

Never by multiplying with the mask alone: 0 * NaN is NaN, and a sampler that mixes x and x0 rounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ltx_ray.sampling.state import LatentState, Tokens


@dataclass(frozen=True, slots=True)
class Pinning:
    """What one modality's mask says, worked out once per descent."""

    clean: Tensor
    mask: Tensor  #: [B, T, 1], 1 = free, 0 = pinned
    is_pinned: Tensor  #: mask == 0
    any_held: bool  #: mask < 1 somewhere; otherwise nothing here changes anything

    @classmethod
    def of(cls, state: LatentState) -> Pinning:
        mask = state.denoise_mask
        return cls(state.clean, mask, mask == 0.0, bool((mask < 1.0).any()))

    def pin(self, x: Tensor) -> Tensor:
        """``x`` with pinned tokens equal to ``clean``. Partly held ones are left alone: resetting them is wrong."""
        return torch.where(self.is_pinned, self.clean, x) if self.any_held else x

    def x0(self, x: Tensor, velocity: Tensor, sigma: float) -> Tensor:
        """What the model believes ``x`` becomes; a token's own noise level is its mask times ``sigma``."""
        if not self.any_held:
            return x - velocity * sigma
        return torch.where(self.is_pinned, self.clean, x - velocity * (self.mask * sigma))

    def blend(self, x0: Tensor) -> Tensor:
        """``x0`` drawn to ``clean`` by the strength of the hold."""
        if not self.any_held:
            return x0
        return torch.where(self.is_pinned, self.clean, x0 * self.mask + self.clean * (1.0 - self.mask))


class Pins(NamedTuple):
    """The same for both modalities."""

    video: Pinning
    audio: Pinning

    def pin(self, x: Tokens) -> Tokens:
        return Tokens(self.video.pin(x.video), self.audio.pin(x.audio))

    def x0(self, x: Tokens, velocity: Tokens, sigma: float) -> Tokens:
        return Tokens(self.video.x0(x.video, velocity.video, sigma), self.audio.x0(x.audio, velocity.audio, sigma))

    def blend(self, x0: Tokens) -> Tokens:
        return Tokens(self.video.blend(x0.video), self.audio.blend(x0.audio))
