"""Small real parts: states of a few tokens, a control that remembers, and models whose x0 is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from ltx_ray.errors import Cancelled
from ltx_ray.sampling.state import AudioLayout, LatentState, VideoLayout, empty_state


@dataclass
class Steps:
    """A control: the steps that were reported, and when to stop."""

    stop_at: int | None = None
    seen: list[tuple[int, int]] = field(default_factory=list)

    def alive(self, *, is_loading=False):
        pass

    def step(self, step_idx: int, num_steps: int) -> None:
        if step_idx == self.stop_at:
            raise Cancelled
        self.seen.append((step_idx, num_steps))


@dataclass
class Knower:
    """A denoiser that wants every token of a modality to become one value; it keeps what it was shown."""

    video_x0: float = 2.0
    audio_x0: float = -1.0
    spoil: Callable[[LatentState, Tensor], None] | None = None  #: changes a velocity in place
    shown: list[tuple[LatentState, LatentState, float]] = field(default_factory=list)

    def velocity(self, video, audio, sigma, text):
        self.shown.append((video, audio, sigma))
        return self._toward(video, self.video_x0, sigma), self._toward(audio, self.audio_x0, sigma)

    def _toward(self, state: LatentState, x0: float, sigma: float) -> Tensor:
        level = (state.denoise_mask * sigma).clamp(min=1e-6)
        velocity = (state.latent - x0) / level
        if self.spoil is not None:
            self.spoil(state, velocity)
        return velocity


@pytest.fixture
def steps() -> type[Steps]:
    return Steps


@pytest.fixture
def knower() -> type[Knower]:
    return Knower


@pytest.fixture
def video() -> LatentState:
    """3 latents of 2 x 4 tokens, 16 channels, all zero and free."""
    return empty_state(VideoLayout(3, 2, 4, Fraction(24)), 16)


@pytest.fixture
def audio() -> LatentState:
    """10 cells of 32 channels, all zero and free."""
    return empty_state(AudioLayout(0, 10, Fraction(0)), 32)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
