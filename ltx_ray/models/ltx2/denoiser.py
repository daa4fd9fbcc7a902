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
from ltx_ray.sampling.positions import state_positions
from ltx_ray.sampling.state import AudioLayout, LatentState, VideoLayout
from ltx_ray.spec.grid import AudioGrid, VideoGrid


class Levels(NamedTuple):
    """Noise levels as the transformer wants them, times its scale of 1000."""

    timestep: Tensor  #: [B] when every token has the same, else [B, T]
    sigma: Tensor  #: [B], of the modality as a whole


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
        self._scale = float(config.timestep_scale_multiplier)
        # LTX-2.0 tells each modality its own noise level in the attention between them, later ones the other's.
        self._uses_cross_timestep = bool(config.cross_attn_mod)
        self._marks_first_frame = bool(config.use_keyframes_abs_pos_embedding)
        self._num_blocks = int(config.num_layers)
        self._placed: dict[VideoGrid | AudioGrid, Placed] = {}
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
        skip_self_attention: tuple[int, ...] = (),
        isolate: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """``velocity`` with self-attention replaced by its values in some blocks, or both modalities alone.

        Raises:
            ModelError: there is no such block.
        """
        for block_idx in skip_self_attention:
            if not 0 <= block_idx < self._num_blocks:
                raise ModelError(
                    f"guidance.stg_blocks: {block_idx} is not a block; this model has 0 to {self._num_blocks - 1}"
                )
        return self._ask(video, audio, sigma, text, isolate=isolate, skip_self_attention=list(skip_self_attention))

    @torch.no_grad()
    def _ask(
        self,
        video: LatentState,
        audio: LatentState,
        sigma: float,
        text: Mapping[str, Tensor],
        *,
        isolate: bool = False,
        skip_self_attention: list[int] | None = None,
    ) -> tuple[Tensor, Tensor]:
        to = {"device": self._device, "dtype": self._dtype}
        video_levels, audio_levels = self._levels(video, sigma), self._levels(audio, sigma)
        layout = video.video_layout
        velocities = self._transformer(
            # Strides can change which kernel a layer takes, and so its last bits.
            hidden_states=video.latent.to(**to).contiguous(),
            audio_hidden_states=audio.latent.to(**to).contiguous(),
            encoder_hidden_states=text["video_text"].to(**to),
            audio_encoder_hidden_states=text["audio_text"].to(**to),
            timestep=video_levels.timestep,
            audio_timestep=audio_levels.timestep,
            sigma=video_levels.sigma,
            audio_sigma=audio_levels.sigma,
            num_frames=layout.num_latents,
            height=layout.height,
            width=layout.width,
            fps=float(layout.frame_rate),
            audio_num_frames=audio.layout.num_tokens,
            video_coords=self._positions(video, self._video_grid),
            audio_coords=self._positions(audio, self._audio_grid),
            isolate_modalities=isolate,
            spatio_temporal_guidance_blocks=skip_self_attention or None,
            use_cross_timestep=self._uses_cross_timestep,
            video_keyframes_mask=self._first_frame(video),
            return_dict=False,
        )
        video_velocity, audio_velocity = (velocity.float().to(video.latent.device) for velocity in velocities)
        return video_velocity, audio_velocity

    def _levels(self, state: LatentState, sigma: float) -> Levels:
        """A level for every token only where tokens differ: at 1080p that costs 2.4 GB.

        A modality that is given whole is at level 0 as a whole, with everything that depends on it.
        Source: modality_from_latent_state, Lightricks/LTX-2@400fd31 ltx_pipelines/utils/helpers.py.
        """
        mask_BT = state.denoise_mask[..., 0].to(self._device)
        whole = torch.full(mask_BT.shape[:1], sigma, dtype=torch.float32, device=mask_BT.device) * self._scale
        least, most = mask_BT.aminmax()
        if most == 0.0:
            return Levels(torch.zeros_like(whole), torch.zeros_like(whole))
        if least == 1.0:
            return Levels(whole, whole)
        return Levels(whole[:, None] * mask_BT, whole)

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
