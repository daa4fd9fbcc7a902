"""What generate and refine share: layouts, noise and one descent over both modalities.

B batch, C channels, F latent frames, H W latent height and width, T tokens, L audio cells. Latents are normalised
float32. Given the same software and device class the result is bit-stable: noise is drawn on the CPU from the recipe's
seeds. What the recipe pins comes out of the descent as it was given, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from torch import Tensor

from ltx_ray.sampling.conditioning import Grid, apply
from ltx_ray.sampling.denoise import denoise
from ltx_ray.sampling.noise import draw, noised
from ltx_ray.sampling.state import (
    AudioLayout,
    LatentState,
    Tokens,
    VideoLayout,
    empty_state,
    unpack_video,
)
from ltx_ray.spec.conditions import Condition, Modality
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.protocols import Control, Model
from ltx_ray.spec.recipe import SegmentRecipe
from ltx_ray.stages.work import CELLS_AXIS, FRAMES_AXIS, MASK_AXIS, Inputs


class Given(NamedTuple):
    """What a condition names: its piece of its artifact, and the same piece of its mask if it has one."""

    latent: Tensor  #: [1, C, F, H, W], or cells [1, L, C]
    mask: Tensor | None = None  #: float32 [1, F, H, W], or [1, L]


def layouts(recipe: SegmentRecipe, facts: ModelFacts) -> tuple[VideoLayout, AudioLayout]:
    """Token layouts of the recipe's segment."""
    factor = facts.video.px_per_latent
    num_latents = facts.video.num_latents(recipe.num_frames)
    video = VideoLayout(num_latents, recipe.height_px // factor, recipe.width_px // factor, recipe.frame_rate)
    return video, AudioLayout(recipe.audio_start, recipe.num_audio_cells, recipe.origin_s)


def sample_segment(
    recipe: SegmentRecipe,
    text: Mapping[str, Tensor],
    model: Model,
    control: Control,
    *,
    negative: Mapping[str, Tensor] | None = None,
    given: Sequence[Given] = (),
    start: Tokens | None = None,
) -> dict[str, Tensor]:
    """Descend the recipe's sigmas from noise, or from the given latents noised to the first sigma.

    Args:
        negative: what the negative prompt was encoded to; needed when the guidance is away from it.
        given: what ``recipe.conditions`` name, in their order.
        start: tokens of what the stage before made of the whole segment.

    Returns:
        ``video`` [1, C, F, H, W] and ``audio`` [1, L, C].

    Raises:
        ValueError: something given has another shape than the recipe says, or is missing, or is not asked for.
    """
    facts = model.facts
    video_layout, audio_layout = layouts(recipe, facts)
    video = empty_state(video_layout, facts.video_channels)
    audio = empty_state(audio_layout, facts.audio_channels)
    if start is not None:
        video, audio = _starting_from(video, start.video), _starting_from(audio, start.audio)
    video, audio = _conditioned(video, audio, recipe, facts, given)
    sigma = recipe.sampling.sigmas[0]
    video = noised(video, draw(recipe.video_seed, video.latent.shape), sigma)
    audio = noised(audio, draw(recipe.audio_seed, audio.latent.shape), sigma)
    video, audio = denoise(
        model.denoiser(recipe.call),
        video,
        audio,
        sampling=recipe.sampling,
        text=text,
        control=control,
        guidance=recipe.sampling.guidance,
        negative_text=negative,
        noise_seed=recipe.video_seed,
    )
    return {"video": unpack_video(video.latent, video_layout), "audio": audio.latent}


def _conditioned(
    video: LatentState, audio: LatentState, recipe: SegmentRecipe, facts: ModelFacts, given: Sequence[Given]
) -> tuple[LatentState, LatentState]:
    """Both states with what the recipe's conditions say of them."""
    if len(given) != len(recipe.conditions):
        raise ValueError(f"conditions: {len(given)} given, and the recipe has {len(recipe.conditions)}")
    states: dict[Modality, LatentState] = {"video": video, "audio": audio}
    grids: dict[Modality, Grid] = {"video": facts.video, "audio": facts.audio}
    for condition, each in zip(recipe.conditions, given, strict=True):
        name = condition.modality
        states[name] = apply(states[name], condition, each.latent, grids[name], each.mask)
    return states["video"], states["audio"]


def _starting_from(state: LatentState, tokens_BTC: Tensor) -> LatentState:
    shape = tuple(state.latent.shape)
    if tuple(tokens_BTC.shape) != shape:
        raise ValueError(f"start: latent of shape {tuple(tokens_BTC.shape)} where {shape} is needed")
    return replace(state, latent=tokens_BTC)


def read_given(inputs: Inputs, conditions: Sequence[Condition]) -> list[Given]:
    """What conditions name: of a parent "condition" for each, and of a parent "mask" for each that has one."""
    axes = {"video": FRAMES_AXIS, "audio": CELLS_AXIS}
    latents = inputs.each("condition", [(each.modality, each.piece, axes[each.modality]) for each in conditions])
    masks = iter(inputs.each("mask", [("mask", each.piece, MASK_AXIS) for each in conditions if each.has_mask]))
    pairs = zip(conditions, latents, strict=True)
    return [Given(latent, next(masks) if condition.has_mask else None) for condition, latent in pairs]


def negative_text(inputs: Inputs) -> dict[str, Tensor] | None:
    """What the negative prompt was encoded to, if there is one."""
    return inputs.tensors("negative") if inputs.has("negative") else None
