"""What is known beforehand, said as changes of a latent state: each function takes a state and returns another.

    connector, image at frame 0    hold                  in place: tokens pinned, or partly held
    source of an inpainting        keep_outside          in place: everything pinned but a range of seconds
    given sound, given picture     freeze                in place: everything pinned
    key frame at any frame         add_keyframe          appended tokens with their own positions
    reference video (IC-LoRA)      add_reference         appended tokens that lie over the segment
    anything else                  append                appended tokens where the caller says

Strength 1 pins: the tokens leave every sampler bit-identical. Strength s between is the share kept: such a token is
noised and denoised at (1 - s) * sigma. Apply these before ``noise.noised``; in place ones before appending ones.
Source: ltx_core/conditioning/types, Lightricks/LTX-2@400fd31.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import torch
from torch import Tensor

from ltx_ray.sampling.positions import audio_seconds, keyframe_positions, reference_positions, video_seconds
from ltx_ray.sampling.state import LatentState, VideoLayout, pack_video
from ltx_ray.spec.grid import AudioGrid, VideoGrid


def hold(state: LatentState, tokens_BTC: Tensor, *, start: int = 0, strength: float = 1.0) -> LatentState:
    """Tokens [start, start + T) are held at ``tokens_BTC``."""
    stop = start + tokens_BTC.shape[1]
    assert 0 <= start <= stop <= state.layout.num_tokens, f"tokens [{start}, {stop}) are not in {state.layout}"
    clean, mask = state.clean.clone(), state.denoise_mask.clone()
    clean[:, start:stop] = tokens_BTC
    mask[:, start:stop] = 1.0 - strength
    return replace(state, clean=clean, denoise_mask=mask)


def freeze(state: LatentState, tokens_BTC: Tensor) -> LatentState:
    """The whole modality is given: it is attended to and never changes."""
    return hold(state, tokens_BTC)


def keep_outside(
    state: LatentState, tokens_BTC: Tensor, start_s: Fraction, stop_s: Fraction, *, grid: VideoGrid | AudioGrid
) -> LatentState:
    """Everything is pinned to ``tokens_BTC`` but what touches [start_s, stop_s), counted from the segment's time 0.

    A latent or cell that lies half inside is made anew: it cannot be half kept.
    """
    assert start_s < stop_s, f"[{start_s}, {stop_s}) s is empty"
    is_inside = torch.tensor(
        [stop > start_s and start < stop_s for start, stop in _seconds(state, grid)], device=state.latent.device
    )
    tokens_each = state.layout.num_tokens // len(is_inside)
    inside = is_inside.repeat_interleave(tokens_each)[None, :, None]
    held = hold(state, tokens_BTC)
    return replace(held, denoise_mask=torch.where(inside, state.denoise_mask, held.denoise_mask))


def add_keyframe(
    state: LatentState, latent_BCFHW: Tensor, frame_idx: int, *, grid: VideoGrid, strength: float = 1.0
) -> LatentState:
    """A still, or a piece of film, guides the video from pixel frame ``frame_idx`` on; any frame will do.

    It guides and does not replace: frame ``frame_idx`` comes out close to it, not equal.
    """
    num_latents = latent_BCFHW.shape[2]
    positions = keyframe_positions(state.video_layout, grid, frame_idx=frame_idx, num_latents=num_latents)
    return append(state, pack_video(latent_BCFHW), positions, strength=strength)


def add_reference(
    state: LatentState, latent_BCFHW: Tensor, *, grid: VideoGrid, downscale: int = 1, strength: float = 1.0
) -> LatentState:
    """A control video guides the video frame by frame; its latent is ``downscale`` times smaller than the segment's."""
    num_latents, height, width = latent_BCFHW.shape[2:]
    layout = VideoLayout(num_latents, height, width, state.video_layout.frame_rate)
    positions = reference_positions(layout, grid, downscale=downscale)
    return append(state, pack_video(latent_BCFHW), positions, strength=strength)


def append(state: LatentState, tokens_BTC: Tensor, positions: Tensor, *, strength: float = 1.0) -> LatentState:
    """Guides after the state's own tokens, at ``positions`` [1, axes, T, 2]; the descent takes them off again."""
    assert positions.shape[2] == tokens_BTC.shape[1], "one position a token"
    before = [] if state.appended_positions is None else [state.appended_positions]
    tokens = tokens_BTC.to(state.clean)
    mask = torch.full_like(tokens[..., :1], 1.0 - strength)
    return replace(
        state,
        latent=torch.cat([state.latent, tokens], dim=1),
        clean=torch.cat([state.clean, tokens], dim=1),
        denoise_mask=torch.cat([state.denoise_mask, mask], dim=1),
        appended_positions=torch.cat([*before, positions], dim=2),
    )


def without_guides(state: LatentState) -> LatentState:
    """``state`` with its layout's own tokens alone."""
    if state.appended_positions is None:
        return state
    own = slice(state.layout.num_tokens)
    latent, clean, mask = state.latent[:, own], state.clean[:, own], state.denoise_mask[:, own]
    return replace(state, latent=latent, clean=clean, denoise_mask=mask, appended_positions=None)


def _seconds(state: LatentState, grid: VideoGrid | AudioGrid) -> list[tuple[Fraction, Fraction]]:
    if isinstance(grid, VideoGrid):
        return video_seconds(state.video_layout, grid)
    return audio_seconds(state.audio_layout, grid)
