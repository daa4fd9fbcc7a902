"""The pipelines of diffusers on the same modules and the same noise as our stages."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ltx_ray.models.ltx2.folder import Folder
from ltx_ray.models.ltx2.forward import Side, levels_of, velocities
from ltx_ray.models.ltx2.model import Ltx2Model
from ltx_ray.models.ltx2.parts import Parts
from ltx_ray.models.ltx2.tiny import cached_tiny
from ltx_ray.models.ltx2.tiny_configs import FLAVOURS, Flavour
from ltx_ray.models.ltx2.tiny_facts import TINY
from ltx_ray.sampling.denoise import denoise
from ltx_ray.sampling.noise import draw, noised
from ltx_ray.sampling.state import AudioLayout, LatentState, VideoLayout, empty_state, unpack_video
from ltx_ray.spec.piece import Piece
from ltx_ray.spec.recipe import (
    AudioDecodeRecipe,
    DecodeRecipe,
    EncodeSettings,
    GenerateRecipe,
    Guidance,
    RefineRecipe,
    SamplingRecipe,
)
from ltx_ray.spec.sigmas import DISTILLED, STAGE_2_DISTILLED
from ltx_ray.spec.weights import PARTS
from ltx_ray.stages.audio_decode import audio_decode
from ltx_ray.stages.decode import decode

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from diffusers import (
        FlowMatchEulerDiscreteScheduler,
        LTX2ConditionPipeline,
        LTX2InContextPipeline,
        LTX2LatentUpsamplePipeline,
        LTX2Pipeline,
    )
    from diffusers.models.modeling_utils import ModelMixin

#: Every kind of guidance off: the pipelines guide unless told not to.
UNGUIDED: Mapping[str, Any] = {
    "guidance_scale": 1.0,
    "audio_guidance_scale": 1.0,
    "stg_scale": 0.0,
    "audio_stg_scale": 0.0,
    "modality_scale": 1.0,
    "audio_modality_scale": 1.0,
    "guidance_rescale": 0.0,
    "audio_guidance_rescale": 0.0,
    "spatio_temporal_guidance_blocks": None,
}
PROMPT = "A lighthouse at dusk, waves over the rocks"
RATE = Fraction(24)
NUM_FRAMES, STAGE1_PX, FINAL_PX = 17, (96, 64), (192, 128)
#: What the pipelines count; ours covers the picture to its end and has one more here.
NUM_CELLS = round(25 * NUM_FRAMES / RATE)
VIDEO_SEED, AUDIO_SEED = 11, 12
STAGE1_LAYOUT, FINAL_LAYOUT = VideoLayout(3, 2, 3, RATE), VideoLayout(3, 4, 6, RATE)
NO_ENCODING = EncodeSettings(codec="ffv1", crf=0, preset="", gop_frames=1, threads=1, crop_px=None)


def open_tiny(flavour: Flavour, folder: Path, precision: str = "fp32") -> Ltx2Model:
    return Ltx2Model(
        TINY[flavour], Parts(Folder(cached_tiny(flavour, folder)), precisions=dict.fromkeys(PARTS, precision))
    )


class SilentControl:
    def alive(self, *, is_loading=False):
        pass

    def step(self, step_idx: int, num_steps: int) -> None:
        pass


def generate_recipe(sigmas: tuple[float, ...] = DISTILLED, guidance: Guidance | None = None) -> GenerateRecipe:
    return GenerateRecipe(**_fields(sigmas, STAGE1_PX, guidance))


def refine_recipe(sigmas: tuple[float, ...] = STAGE_2_DISTILLED) -> RefineRecipe:
    return RefineRecipe(**_fields(sigmas, FINAL_PX))


def _fields(sigmas: tuple[float, ...], size_px: tuple[int, int], guidance: Guidance | None = None) -> dict[str, Any]:
    return {
        "weights": (),
        "sampling": SamplingRecipe(sampler="euler", sigmas=sigmas, guidance=guidance),
        "video_seed": VIDEO_SEED,
        "audio_seed": AUDIO_SEED,
        "num_frames": NUM_FRAMES,
        "frame_rate": RATE,
        "width_px": size_px[0],
        "height_px": size_px[1],
        "origin_s": Fraction(0),
        "audio_start": 0,
        "num_audio_cells": NUM_CELLS,
        "conditions": (),
        "call": None,
    }


def frames_of(model: Ltx2Model, video_BCFHW: Tensor) -> np.ndarray:
    """All frames that our decode stage makes of one segment."""
    num_latents = video_BCFHW.shape[2]
    recipe = DecodeRecipe(
        weights=(),
        pieces=(Piece(0, num_latents),),
        start=0,
        stop=model.facts.video.num_frames(num_latents),
        fade=None,
        tiling="stream",
        frame_rate=RATE,
        encode=NO_ENCODING,
    )
    return np.concatenate(list(decode(recipe, video_BCFHW, model, SilentControl())))


def sound_of(model: Ltx2Model, audio_BLC: Tensor, num_samples: int) -> np.ndarray:
    """The first samples that our stage makes of one segment's cells."""
    pieces = (Piece(0, audio_BLC.shape[1]),)
    recipe = AudioDecodeRecipe(weights=(), pieces=pieces, start=0, num_samples=num_samples)
    return np.concatenate(list(audio_decode(recipe, audio_BLC, model, SilentControl())), axis=1)


def empty_states(model: Ltx2Model, layout: VideoLayout) -> tuple[LatentState, LatentState]:
    video = empty_state(layout, model.facts.video_channels)
    return video, empty_state(AudioLayout(0, NUM_CELLS, Fraction(0)), model.facts.audio_channels)


def descend(
    model: Ltx2Model,
    states: tuple[LatentState, LatentState],
    *,
    sigmas: tuple[float, ...],
    text: Mapping[str, Tensor],
    guidance: Guidance | None = None,
    negative: Mapping[str, Tensor] | None = None,
    sampler: str = "euler",
    noise_seed: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Normalised video latent [1, C, F, H, W] and audio latent of our loop from video and audio states."""
    seeded = zip(states, (VIDEO_SEED, AUDIO_SEED), strict=True)
    video, audio = denoise(
        model.denoiser(),
        *(noised(state, draw(seed, state.latent.shape), sigmas[0]) for state, seed in seeded),
        sampling=SamplingRecipe(sampler=sampler, sigmas=sigmas, guidance=guidance),
        text=text,
        control=SilentControl(),
        guidance=guidance,
        negative_text=negative,
        noise_seed=noise_seed,
    )
    return unpack_video(video.latent, video.video_layout), audio.latent


@dataclass
class Reference:
    """A pipeline of diffusers over ``model``'s own modules; its noise is ours, its defaults are off."""

    model: Ltx2Model
    monkeypatch: Any

    def pipeline(self, cls: Any = LTX2Pipeline, **components: Any) -> Any:
        parts = self.model.parts
        pipe = cls(
            **{
                "scheduler": FlowMatchEulerDiscreteScheduler(),
                "vae": parts.vae,
                "audio_vae": parts.audio_vae,
                "text_encoder": parts.text_encoder,
                "tokenizer": parts.tokenizer,
                "connectors": parts.connectors,
                "transformer": parts.transformer,
                "vocoder": _in_its_own_type(parts.vocoder),
                **components,
            },
        )
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def run(self, pipe: Any, *, noise: list[Tensor], size_px: tuple[int, int], **arguments: Any) -> tuple[Any, Any]:
        """(video, audio) as ``output_type`` says, "latent" by default."""
        left = list(noise)

        def ours(shape: Any, **_: Any) -> Tensor:
            tensor = left.pop(0)
            if len(shape) == 3:
                assert tuple(shape) == tuple(tensor.shape)
                return tensor
            return _unpacked(tensor, tuple(shape))

        (module, *_) = [cls.__module__ for cls in type(pipe).__mro__ if cls.__module__.startswith("diffusers.")]
        self.monkeypatch.setattr(f"{module}.randn_tensor", ours)
        settings = {
            "width": size_px[0],
            "height": size_px[1],
            "num_frames": NUM_FRAMES,
            "frame_rate": float(RATE),
            "output_type": "latent",
            "use_cross_timestep": self.model.facts.family != "ltx-2",
        }
        with official_transformer(self.model, size_px):
            video, audio = pipe(**{**settings, **UNGUIDED, **arguments}, return_dict=False)
        assert not left, "the pipeline drew less noise than we"
        return video, audio

    def upsample(self, video_BCFHW: Tensor) -> Tensor:
        parts = self.model.parts
        pipe = LTX2LatentUpsamplePipeline(vae=parts.vae, latent_upsampler=parts.latent_upsampler)
        return pipe(latents=video_BCFHW, latents_normalized=False, output_type="latent", return_dict=False)[0]

    def raw_video(self, latent_BCFHW: Tensor) -> Tensor:
        """A normalised latent with the statistics of the VAE taken off, as the pipelines put it out."""
        vae = self.model.parts.vae
        return LTX2Pipeline._denormalize_latents(
            latent_BCFHW, vae.latents_mean, vae.latents_std, vae.config.scaling_factor
        )

    def raw_audio(self, latent_BLC: Tensor) -> Tensor:
        vae = self.model.parts.audio_vae
        raw = LTX2Pipeline._denormalize_audio_latents(latent_BLC, vae.latents_mean, vae.latents_std)
        return LTX2Pipeline._unpack_audio_latents(raw, raw.shape[1], num_mel_bins=vae.config.mel_bins // 4)

    def normalised_audio(self, raw_BCLM: Tensor) -> Tensor:
        vae = self.model.parts.audio_vae
        packed = LTX2Pipeline._pack_audio_latents(raw_BCLM)
        return LTX2Pipeline._normalize_audio_latents(packed, vae.latents_mean, vae.latents_std)


@contextlib.contextmanager
def official_transformer(model: Ltx2Model, size_px: tuple[int, int]) -> Iterator[None]:
    """Let the pipelines ask the transformer as our denoiser does.

    Diffusers' own forward computes otherwise than the official model; that ours does not is shown in ``test_golden``.
    What is compared here is everything around it. LTX2Pipeline also forgets the mark of the first frame on 2.5.
    """
    transformer = model.parts.transformer
    tokens = (size_px[0] // 32) * (size_px[1] // 32)

    def side(hidden: Tensor, text: Tensor, timestep: Tensor, sigma: Tensor | None, coords: Tensor, blocks: Any) -> Side:
        levels = (timestep.double() / 1000).float()
        whole = levels.max() if sigma is None else (sigma.double() / 1000).float().max()
        values, index = levels.unique(return_inverse=True)
        mark = torch.zeros_like(hidden[..., :1])
        mark[:, :tokens] = 1.0
        told = levels_of(values, None if len(values) == 1 else index, whole=float(whole))
        return Side(hidden, text, told, coords, frozenset(blocks or ()), mark)

    def forward(  # noqa: PLR0917  # as diffusers has it
        hidden_states: Tensor,
        audio_hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        audio_encoder_hidden_states: Tensor,
        timestep: Tensor,
        audio_timestep: Tensor | None = None,
        sigma: Tensor | None = None,
        audio_sigma: Tensor | None = None,
        video_coords: Tensor | None = None,
        audio_coords: Tensor | None = None,
        isolate_modalities: bool = False,
        spatio_temporal_guidance_blocks: Any = None,
        **told: Any,
    ) -> tuple[Tensor, Tensor]:
        batch = len(hidden_states)
        if video_coords is None:
            shape = told["num_frames"], told["height"], told["width"]
            video_coords = transformer.rope.prepare_video_coords(batch, *shape, hidden_states.device, fps=told["fps"])
        if audio_coords is None:
            audio_coords = transformer.audio_rope.prepare_audio_coords(
                batch, told["audio_num_frames"], hidden_states.device
            )
        blocks, audio_timestep = spatio_temporal_guidance_blocks, timestep if audio_timestep is None else audio_timestep
        audio_sigma = sigma if audio_sigma is None else audio_sigma
        return velocities(
            transformer,
            side(hidden_states, encoder_hidden_states, timestep, sigma, video_coords, blocks),
            side(audio_hidden_states, audio_encoder_hidden_states, audio_timestep, audio_sigma, audio_coords, blocks),
            isolate=isolate_modalities,
        )

    before = transformer.forward
    transformer.forward = forward
    try:
        yield
    finally:
        transformer.forward = before


def _in_its_own_type(vocoder: Any) -> Any:
    """The vocoder, which computes in float32 where everything else may be in 16 bits; a pipeline knows one type."""

    def cast(module: Any, args: Any) -> Any:
        return tuple(each.to(module.dtype) for each in args)

    if not vocoder._forward_pre_hooks:
        vocoder.register_forward_pre_hook(cast)
    return vocoder


class GivenText(ModelMixin):
    """Stands in for the connectors: a prompt that was encoded before, or a negative and a plain one."""

    def __init__(self, *texts: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.video, self.audio = (torch.cat([text[name] for text in texts]) for name in ("video_text", "audio_text"))

    def forward(self, hidden: Tensor, mask: Tensor, padding_side: str = "left") -> tuple[Tensor, Tensor, Tensor]:
        return self.video, self.audio, torch.ones(self.video.shape[:2], dtype=torch.int64)


def noise(layout: VideoLayout, model: Ltx2Model) -> list[Tensor]:
    """What our stages draw, video then audio."""
    facts = model.facts
    shapes = ((1, layout.num_tokens, facts.video_channels), (1, NUM_CELLS, facts.audio_channels))
    return [draw(seed, shape) for seed, shape in zip((VIDEO_SEED, AUDIO_SEED), shapes, strict=True)]


def _unpacked(tokens_BTC: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A view, so that packing gives back our tokens with our strides: in 16 bits they decide how a layer rounds."""
    if len(shape) == 5:
        return tokens_BTC.unflatten(1, shape[2:]).permute(0, 4, 1, 2, 3)
    return tokens_BTC.unflatten(2, (-1, shape[3])).transpose(1, 2)


__all__ = ["FLAVOURS", "LTX2ConditionPipeline", "LTX2InContextPipeline", "LTX2LatentUpsamplePipeline", "LTX2Pipeline"]
