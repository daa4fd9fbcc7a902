"""The LTX-2 transformer, asked for velocities at one point of a descent.

Decides how a latent state is told to the transformer: positions, noise levels a token, which tokens are single frames.
Latents arrive in float32, are cast to the transformer's type and come back as float32 velocities.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.forward import Levels, Side, levels_of, velocities
from ltx_ray.sampling.positions import state_positions
from ltx_ray.sampling.state import AudioLayout, LatentState, VideoLayout
from ltx_ray.spec.grid import AudioGrid, VideoGrid


class Mask(NamedTuple):
    """The levels that a denoise mask gives its tokens, as shares of the modality's."""

    mask: Tensor
    shares: Tensor  #: float32 [n], distinct
    which: Tensor | None  #: [B, T], the share of each token; None = all have the first


class Placed(NamedTuple):
    """Positions [1, axes, T, 2] on the transformer's device, and what they were made of."""

    layout: VideoLayout | AudioLayout
    appended: Tensor | None
    positions: Tensor


class Ltx2Denoiser:
    """Satisfies ``spec.protocols.ImpairableDenoiser``. ``text`` is what ``Ltx2TextEncoder`` made."""

    def __init__(self, transformer: Any, video_grid: VideoGrid, audio_grid: AudioGrid) -> None:
        self._transformer = transformer
        self._video_grid, self._audio_grid = video_grid, audio_grid
        config = transformer.config
        self._marks_first_frame = bool(config.use_keyframes_abs_pos_embedding)
        self._num_blocks = int(config.num_layers)
        self._placed: dict[VideoGrid | AudioGrid, Placed] = {}
        self._masks: dict[VideoGrid | AudioGrid, Mask] = {}
        # Asked once: finding them walks all parameters. Make a new denoiser after moving the transformer.
        self._device, self._dtype = transformer.device, transformer.dtype

    def velocity(
        self, video: LatentState, audio: LatentState, sigma: float, text: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        return self._ask(video, audio, sigma, text)

    def impaired_velocity(
        self,
        video: LatentState,
        audio: LatentState,
        sigma: float,
        text: Mapping[str, Tensor],
        *,
        skip_video: tuple[int, ...] = (),
        skip_audio: tuple[int, ...] = (),
        isolate: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """``velocity`` with a modality's self-attention left out in some blocks, or both modalities alone.

        Raises:
            ModelError: there is no such block.
        """
        for block_idx in (*skip_video, *skip_audio):
            if not 0 <= block_idx < self._num_blocks:
                raise ModelError(
                    f"guidance.stg_blocks: {block_idx} is not a block; this model has 0 to {self._num_blocks - 1}"
                )
        return self._ask(video, audio, sigma, text, isolate=isolate, skipped=(skip_video, skip_audio))

    @torch.no_grad()
    def _ask(
        self,
        video: LatentState,
        audio: LatentState,
        sigma: float,
        text: Mapping[str, Tensor],
        *,
        isolate: bool = False,
        skipped: tuple[tuple[int, ...], tuple[int, ...]] = ((), ()),
    ) -> tuple[Tensor, Tensor]:
        sides = [
            Side(
                # Strides can change which kernel a layer takes, and so its last bits.
                latent=state.latent.to(device=self._device, dtype=self._dtype).contiguous(),
                text=text[name].to(device=self._device, dtype=self._dtype),
                levels=self._levels(state, grid, sigma),
                positions=self._positions(state, grid),
                skipped=frozenset(blocks),
                is_first_frame=self._first_frame(state) if grid is self._video_grid else None,
            )
            for state, grid, name, blocks in (
                (video, self._video_grid, "video_text", skipped[0]),
                (audio, self._audio_grid, "audio_text", skipped[1]),
            )
        ]
        found = velocities(self._transformer, sides[0], sides[1], isolate=isolate)
        video_velocity, audio_velocity = (velocity.float().to(video.latent.device) for velocity in found)
        return video_velocity, audio_velocity

    def _levels(self, state: LatentState, grid: VideoGrid | AudioGrid, sigma: float) -> Levels:
        """A modality that is given whole is at level 0 as a whole, with everything that depends on it.

        Source: modality_from_latent_state, Lightricks/LTX-2@400fd31 ltx_pipelines/utils/helpers.py.
        """
        known = self._masks.get(grid)
        if known is None or known.mask is not state.denoise_mask:  # the same in every step of a descent
            shares, index = torch.unique(state.denoise_mask[..., 0].float(), return_inverse=True)
            on_device = None if len(shares) == 1 else index.to(self._device)
            known = self._masks[grid] = Mask(state.denoise_mask, shares.to(self._device), on_device)
        is_given = known.which is None and bool(known.shares[0] == 0.0)
        return levels_of(known.shares * sigma, known.which, whole=0.0 if is_given else sigma)

    def _positions(self, state: LatentState, grid: VideoGrid | AudioGrid) -> Tensor:
        """[B, axes, T, 2]; given, because the transformer's own begin at 0 in every segment and know no guides."""
        known = self._placed.get(grid)
        # The same in every step of a descent, and slower to make than a step's arithmetic.
        if known is None or known.layout != state.layout or known.appended is not state.appended_positions:
            positions = state_positions(state, grid).to(self._device)
            known = self._placed[grid] = Placed(state.layout, state.appended_positions, positions)
        return known.positions.expand(len(state.latent), -1, -1, -1)

    def _first_frame(self, state: LatentState) -> Tensor | None:
        """[B, T, 1], 1 on the tokens of the first latent: it holds a single frame, and LTX-2.5 marks such.

        Guides are never marked, whatever they hold.
        Source: _first_frame_keyframes_mask, Lightricks/LTX-2@400fd31 ltx_core/tools.py. LTX2Pipeline leaves it out.
        """
        if not self._marks_first_frame:
            return None
        mask = torch.zeros_like(state.denoise_mask, device=self._device)
        mask[:, : state.video_layout.height * state.video_layout.width] = 1.0
        return mask
