"""A two-stage run in miniature: real noise, Euler steps, pinned tokens held; nothing of the farm."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from ltx_ray.models.testcard.facts import TESTCARD
from ltx_ray.models.testcard.model import TestCard
from ltx_ray.sampling.conditioning import hold
from ltx_ray.sampling.state import (
    AudioLayout,
    LatentState,
    VideoLayout,
    empty_state,
    pack_video,
    unpack_video,
)
from ltx_ray.spec.protocols import Denoiser
from ltx_ray.spec.recipe import Call

STAGE1 = (1.0, 0.725, 0.421875, 0.0)
REFINE = (0.725, 0.421875, 0.0)


@dataclass
class Farm:
    """What the stages do, for one size and one video."""

    width: int = 128
    height: int = 128
    rate: Fraction = Fraction(24)
    label: str = "fox"
    prompt: str = "A fox in the snow"
    sigmas: tuple[float, ...] = REFINE
    model: TestCard = field(default_factory=TestCard)

    def layout(self, num_latents: int, side: int) -> VideoLayout:
        return VideoLayout(num_latents, self.height // side, self.width // side, self.rate)

    def generate(
        self, num_frames, *, pinned=None, sound=None, audio_start=0, origin_s=Fraction(0), num_cells=30, seed=0
    ):
        """Stage-1 latent [1, C, F, H, W] and audio tokens [1, L, C]."""
        layout = self.layout((num_frames - 1) // 8 + 1, 64)
        video = empty_state(layout, TESTCARD.video_channels)
        audio = empty_state(AudioLayout(audio_start, num_cells, origin_s), TESTCARD.audio_channels)
        video = video if pinned is None else hold(video, pack_video(pinned))
        audio = audio if sound is None else hold(audio, sound)
        video, audio = self.descend(video, audio, STAGE1, 1, seed)
        return unpack_video(video.latent, layout), audio.latent

    def refine(self, latent, sound, *, pinned=None, pinned_sound=None, audio_start=0, origin_s=Fraction(0), seed=1):
        """Final latent and audio tokens from upscaled ones."""
        layout = self.layout(latent.shape[2], 32)
        video = empty_state(layout, TESTCARD.video_channels).with_latent(pack_video(latent))
        state = empty_state(AudioLayout(audio_start, sound.shape[1], origin_s), TESTCARD.audio_channels)
        state = state.with_latent(sound)
        video = video if pinned is None else hold(video, pack_video(pinned))
        state = state if pinned_sound is None else hold(state, pinned_sound)
        video, audio = self.descend(video, state, self.sigmas, 2, seed)
        return unpack_video(video.latent, layout), audio.latent

    def render(self, num_frames, **options):
        latent, sound = self.generate(num_frames, **options)
        return self.refine(self.model.upscaler().upscale(latent), sound)

    def text(self) -> dict[str, Tensor]:
        return self.model.text_encoder().encode(self.prompt)

    def denoiser(self, stage: Literal[1, 2]) -> Denoiser:
        return self.model.denoiser(Call(stage=stage, label=self.label, is_free=False))

    def descend(self, video: LatentState, audio: LatentState, sigmas, stage: int, seed: int):
        generator = torch.Generator().manual_seed(seed)
        video, audio = (noised(state, sigmas[0], generator) for state in (video, audio))
        denoiser, text = self.denoiser(stage), self.text()
        for sigma, following in pairwise(sigmas):
            velocities = denoiser.velocity(video, audio, sigma, text)
            video, audio = (
                stepped(state, v, sigma, following) for state, v in zip((video, audio), velocities, strict=True)
            )
        return video, audio

    def frames(self, latent, start=0, stop=10_000) -> list[np.ndarray]:
        return [frame[0].numpy() for frame in self.model.video_decoder().decode(latent, start, stop)]

    def samples(self, sound, num_frames: int) -> np.ndarray:
        return self.model.audio_decoder().decode(sound, 0, int(num_frames / self.rate * 48000)).numpy()


def noised(state: LatentState, sigma: float, generator: torch.Generator) -> LatentState:
    noise = torch.randn(state.latent.shape, generator=generator)
    mixed = (1 - sigma) * state.latent + sigma * noise
    return state.with_latent(torch.where(state.denoise_mask == 0, state.clean, mixed))


def stepped(state: LatentState, velocity: Tensor, sigma: float, following: float) -> LatentState:
    mask = state.denoise_mask
    x0 = (state.latent - mask * sigma * velocity) * mask + state.clean * (1 - mask)
    x = x0 + following / sigma * (state.latent - x0)
    return state.with_latent(torch.where(mask == 0, state.clean, x))


@pytest.fixture(scope="session")
def farm():
    return Farm


@pytest.fixture(scope="session")
def fox():
    """57 frames at 128x128, with sound: frames, samples, and the latents of both stages."""
    made = Farm()
    draft, sound = made.generate(57, num_cells=61)
    final, sound = made.refine(made.model.upscaler().upscale(draft), sound)
    return Rendered(made, draft, final, made.frames(final), made.samples(sound, 57))


@dataclass
class Rendered:
    farm: Farm
    draft: Tensor
    final: Tensor
    frames: list[np.ndarray]
    samples: np.ndarray
