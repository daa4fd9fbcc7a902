"""What is given beforehand, said as changes of a latent state: each function takes a state and returns another.

    connector, image at frame 0    hold                  in place: tokens pinned, or partly held
    source of an inpainting        keep_outside          in place: everything pinned but a range of seconds
    given sound, given picture     freeze                in place: everything pinned
    key frame at any frame         add_keyframe          appended tokens with their own positions
    reference video (IC-LoRA)      add_reference         appended tokens that lie over the segment
    sound from any cell on         add_cells             appended tokens at the times of cells
    anything else                  append                appended tokens where the caller says

Strength 1 pins: the tokens leave every sampler bit-identical. Strength s between is the share kept: such a token is
noised and denoised at (1 - s) * sigma. At 0 it is as if nothing were given. Apply these before ``noise.noised``, in
place ones and appending ones in any order; of two that hold the same token the later one does. ``apply`` is the way in
for the conditions of a recipe, and ``KINDS`` the one table of their kinds.
Source: ltx_core/conditioning/types, Lightricks/LTX-2@400fd31.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from ltx_ray.sampling.positions import (
    audio_positions,
    audio_seconds,
    keyframe_positions,
    reference_positions,
    video_seconds,
)
from ltx_ray.sampling.state import AudioLayout, LatentState, VideoLayout, pack_video
from ltx_ray.spec.conditions import Condition, Freeze, Hold, KeepOutside, Keyframe, Reference
from ltx_ray.spec.grid import AudioGrid, VideoGrid

Grid = VideoGrid | AudioGrid
Strength = float | Tensor  #: of all tokens, or [1, T, 1] of each


def apply(
    state: LatentState, condition: Condition, given: Tensor, grid: Grid, mask: Tensor | None = None
) -> LatentState:
    """``state``, of the condition's modality, with what it is given.

    Args:
        given: the condition's piece of its artifact, latents [1, C, F, H, W] or cells [1, L, C]; normalised.
        mask: the same piece of its mask, [1, F, H, W] or [1, L].

    Raises:
        ValueError: either has another shape than the condition says, or the mask is missing or not asked for.
    """
    name = f"{condition.kind} of {condition.modality}"
    shape, mask_shape = _shapes(state, condition)
    if tuple(given.shape) != shape:
        raise ValueError(f"{name}: latent of shape {tuple(given.shape)} where {shape} is needed")
    if condition.has_mask != (mask is not None):
        raise ValueError(f"{name}: mask {'missing' if mask is None else 'given, and the condition has none'}")
    strength: Strength = condition.strength
    if mask is not None:
        if tuple(mask.shape) != mask_shape:
            raise ValueError(f"{name}: mask of shape {tuple(mask.shape)} where {mask_shape} is needed")
        strength = strength * mask.double().flatten(1)[..., None]
    return KINDS[type(condition)](state, condition, given, grid, strength)


def hold(state: LatentState, tokens_BTC: Tensor, *, start: int = 0, strength: Strength = 1.0) -> LatentState:
    """Tokens [start, start + T) are held at ``tokens_BTC``; one of strength 0 stays as it was held before."""
    stop = start + tokens_BTC.shape[1]
    assert 0 <= start <= stop <= state.layout.num_tokens, f"tokens [{start}, {stop}) are not in {state.layout}"
    clean, mask = state.clean.clone(), state.denoise_mask.clone()
    before, level = mask[:, start:stop], _level(strength)
    stays = (level == 1.0) & (before < 1.0)
    clean[:, start:stop] = torch.where(stays, clean[:, start:stop], tokens_BTC.to(clean))
    mask[:, start:stop] = torch.where(stays, before, level.to(mask))
    return replace(state, clean=clean, denoise_mask=mask)


def freeze(state: LatentState, tokens_BTC: Tensor, *, strength: Strength = 1.0) -> LatentState:
    """The whole modality is given: it is attended to and never changes."""
    assert tokens_BTC.shape[1] == state.layout.num_tokens, f"{tokens_BTC.shape[1]} tokens are not all of {state.layout}"
    return hold(state, tokens_BTC, strength=strength)


def keep_outside(
    state: LatentState,
    tokens_BTC: Tensor,
    start_s: Fraction,
    stop_s: Fraction,
    *,
    grid: Grid,
    strength: Strength = 1.0,
) -> LatentState:
    """Everything is pinned to ``tokens_BTC`` but what touches [start_s, stop_s), counted from the segment's time 0.

    A latent or cell that lies half inside is made anew: it cannot be half kept.
    """
    assert start_s < stop_s, f"[{start_s}, {stop_s}) s is empty"
    is_outside = torch.tensor([stop <= start_s or start >= stop_s for start, stop in _seconds(state, grid)])
    outside = is_outside.double().repeat_interleave(state.layout.tokens_each)[None, :, None]
    return freeze(state, tokens_BTC, strength=strength * outside)


def add_keyframe(
    state: LatentState, latent_BCFHW: Tensor, frame_idx: int, *, grid: VideoGrid, strength: Strength = 1.0
) -> LatentState:
    """A still, or a piece of film, guides the video from pixel frame ``frame_idx`` on; any frame will do.

    It guides and does not replace: frame ``frame_idx`` comes out close to it, not equal.
    """
    num_latents = latent_BCFHW.shape[2]
    positions = keyframe_positions(state.video_layout, grid, frame_idx=frame_idx, num_latents=num_latents)
    return append(state, pack_video(latent_BCFHW), positions, strength=strength)


def add_reference(
    state: LatentState, latent_BCFHW: Tensor, *, grid: VideoGrid, downscale: int = 1, strength: Strength = 1.0
) -> LatentState:
    """A control video guides the video frame by frame; its latent is ``downscale`` times smaller than the segment's."""
    num_latents, height, width = latent_BCFHW.shape[2:]
    layout = VideoLayout(num_latents, height, width, state.video_layout.frame_rate)
    positions = reference_positions(layout, grid, downscale=downscale)
    return append(state, pack_video(latent_BCFHW), positions, strength=strength)


def add_cells(
    state: LatentState, tokens_BLC: Tensor, start: int, *, grid: AudioGrid, strength: Strength = 1.0
) -> LatentState:
    """A sound guides the sound, from the segment's cell ``start`` on, at the times of the take's cells."""
    own = state.audio_layout
    layout = AudioLayout(own.start + start, tokens_BLC.shape[1], own.origin_s)
    assert layout.start >= 0, f"cell {start} lies before the take of {own}"
    return append(state, tokens_BLC, audio_positions(layout, grid), strength=strength)


def append(state: LatentState, tokens_BTC: Tensor, positions: Tensor, *, strength: Strength = 1.0) -> LatentState:
    """Guides after the state's own tokens, at ``positions`` [1, axes, T, 2]; the descent takes them off again.

    One of strength 0 is left out.
    """
    assert positions.shape[2] == tokens_BTC.shape[1], "one position a token"
    tokens = tokens_BTC.to(state.clean)
    mask = _level(strength).to(tokens).expand_as(tokens[..., :1])
    guides = (mask < 1.0)[0, :, 0]
    before = [] if state.appended_positions is None else [state.appended_positions]
    return replace(
        state,
        latent=torch.cat([state.latent, torch.zeros_like(tokens[:, guides])], dim=1),
        clean=torch.cat([state.clean, tokens[:, guides]], dim=1),
        denoise_mask=torch.cat([state.denoise_mask, mask[:, guides]], dim=1),
        appended_positions=torch.cat([*before, positions[:, :, guides]], dim=2),
    )


def without_guides(state: LatentState) -> LatentState:
    """``state`` with its layout's own tokens alone."""
    if state.appended_positions is None:
        return state
    own = slice(state.layout.num_tokens)
    latent, clean, mask = state.latent[:, own], state.clean[:, own], state.denoise_mask[:, own]
    return replace(state, latent=latent, clean=clean, denoise_mask=mask, appended_positions=None)


def _hold(state: LatentState, condition: Hold, latent: Tensor, grid: Grid, strength: Strength) -> LatentState:
    return hold(state, _tokens(latent), start=condition.start * state.layout.tokens_each, strength=strength)


def _keep_outside(
    state: LatentState, condition: KeepOutside, latent: Tensor, grid: Grid, strength: Strength
) -> LatentState:
    return keep_outside(state, _tokens(latent), condition.start_s, condition.stop_s, grid=grid, strength=strength)


def _freeze(state: LatentState, condition: Freeze, latent: Tensor, grid: Grid, strength: Strength) -> LatentState:
    return freeze(state, _tokens(latent), strength=strength)


def _keyframe(state: LatentState, condition: Keyframe, latent: Tensor, grid: Grid, strength: Strength) -> LatentState:
    if isinstance(grid, AudioGrid):
        return add_cells(state, latent, condition.start, grid=grid, strength=strength)
    return add_keyframe(state, latent, condition.start, grid=grid, strength=strength)


def _reference(state: LatentState, condition: Reference, latent: Tensor, grid: Grid, strength: Strength) -> LatentState:
    if isinstance(grid, AudioGrid):
        return add_cells(state, latent, 0, grid=grid, strength=strength)
    return add_reference(state, latent, grid=grid, downscale=condition.downscale, strength=strength)


#: What applies a kind of condition, given its piece of the artifact and its strength.
KINDS: Mapping[type[Condition], Callable[[LatentState, Any, Tensor, Grid, Strength], LatentState]] = {
    Hold: _hold,
    KeepOutside: _keep_outside,
    Freeze: _freeze,
    Keyframe: _keyframe,
    Reference: _reference,
}


def _shapes(state: LatentState, condition: Condition) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of what is given and of its mask."""
    count, channels = condition.piece.length, state.clean.shape[2]
    if condition.modality == "audio":
        return (1, count, channels), (1, count)
    scale = condition.downscale if isinstance(condition, Reference) else 1
    height, width = state.video_layout.height // scale, state.video_layout.width // scale
    return (1, channels, count, height, width), (1, count, height, width)


def _tokens(latent: Tensor) -> Tensor:
    """Latents or cells as tokens [1, T, C]."""
    return pack_video(latent) if latent.ndim == 5 else latent


def _level(strength: Strength) -> Tensor:
    """The share of the noise that tokens of this strength are given, in float64, so that it is rounded once."""
    return 1.0 - torch.as_tensor(strength, dtype=torch.float64)


def _seconds(state: LatentState, grid: Grid) -> list[tuple[Fraction, Fraction]]:
    if isinstance(grid, VideoGrid):
        return video_seconds(state.video_layout, grid)
    return audio_seconds(state.audio_layout, grid)
