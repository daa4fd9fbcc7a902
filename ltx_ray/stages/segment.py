"""What generate and refine share: layouts, noise and one descent over both modalities.

B batch, C channels, F latent frames, H W latent height and width, T tokens, L audio cells. Latents are normalised
float32. Given the same software and device class the result is bit-stable: noise is drawn on the CPU from the recipe's
seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import torch
from torch import Tensor

from ltx_ray.sampling.denoise import denoise
from ltx_ray.sampling.noise import draw, noised
from ltx_ray.sampling.state import AudioLayout, LatentState, VideoLayout, empty_state, pack_video, unpack_video
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.protocols import Control, Model
from ltx_ray.spec.recipe import SegmentRecipe

#: Which stage asks, for models that must know: 1 starts from nothing, 2 from what stage 1 made.
STAGE_NUMBERS = {"generate": 1, "refine": 2}


def layouts(recipe: SegmentRecipe, facts: ModelFacts) -> tuple[VideoLayout, AudioLayout]:
    """Token layouts of the recipe's segment."""
    factor = facts.video.px_per_latent
    num_latents = facts.video.num_latents(recipe.num_frames)
    video = VideoLayout(num_latents, recipe.height_px // factor, recipe.width_px // factor, recipe.frame_rate)
    return video, AudioLayout(recipe.audio_start, recipe.num_audio_cells, Fraction(0))


def sample_segment(
    recipe: SegmentRecipe,
    text: Mapping[str, Tensor],
    model: Model,
    control: Control,
    *,
    stage: str,
    negative: Mapping[str, Tensor] | None = None,
    video_BCFHW: Tensor | None = None,
    audio_BLC: Tensor | None = None,
) -> dict[str, Tensor]:
    """Descend the recipe's sigmas from noise, or from the given latents noised to the first sigma.

    Args:
        negative: what the negative prompt was encoded to; needed when the guidance is away from it.

    Returns:
        ``video`` [1, C, F, H, W] and ``audio`` [1, L, C].
    """
    facts = model.facts
    video_layout, audio_layout = layouts(recipe, facts)
    video = empty_state(video_layout, facts.video_channels)
    audio = empty_state(audio_layout, facts.audio_channels)
    if video_BCFHW is not None:
        video = _starting_from(video, pack_video(video_BCFHW))
    if audio_BLC is not None:
        audio = _starting_from(audio, audio_BLC)
    sigma = recipe.sampling.sigmas[0]
    video = noised(video, draw(recipe.video_seed, video.latent.shape), sigma)
    audio = noised(audio, draw(recipe.audio_seed, audio.latent.shape), sigma)
    conditioning = {**text, "stage": torch.tensor(STAGE_NUMBERS[stage], dtype=torch.uint8)}
    if recipe.label is not None:
        conditioning["label"] = torch.frombuffer(bytearray(recipe.label.encode()), dtype=torch.uint8)
    video, audio = denoise(
        model.denoiser(),
        video,
        audio,
        sampling=recipe.sampling,
        text=conditioning,
        control=control,
        guidance=recipe.sampling.guidance,
        negative_text=negative,
        noise_seed=recipe.video_seed,
    )
    return {"video": unpack_video(video.latent, video_layout), "audio": audio.latent}


def _starting_from(state: LatentState, tokens_BTC: Tensor) -> LatentState:
    if tokens_BTC.shape != state.latent.shape:
        raise ValueError(f"latent of shape {tuple(tokens_BTC.shape)} where {tuple(state.latent.shape)} is needed")
    return replace(state, latent=tokens_BTC)
