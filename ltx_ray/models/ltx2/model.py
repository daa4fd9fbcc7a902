"""A checkpoint in diffusers' folder layout as ``spec.protocols.Model``: parts load on first use and stay.

Weights come from safetensors alone; nothing is unpickled, fetched or run from the folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import transformers
from diffusers.models.autoencoders.autoencoder_kl_ltx2 import AutoencoderKLLTX2Video
from diffusers.models.autoencoders.autoencoder_kl_ltx2_audio import AutoencoderKLLTX2Audio
from diffusers.models.transformers.transformer_ltx2 import LTX2VideoTransformer3DModel
from diffusers.pipelines.ltx2.connectors import LTX2TextConnectors
from diffusers.pipelines.ltx2.latent_upsampler import LTX2LatentUpsamplerModel
from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder, LTX2VocoderWithBWE

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.denoiser import Ltx2Denoiser
from ltx_ray.models.ltx2.facts import FOLDERS
from ltx_ray.models.ltx2.files.parts import FileParts
from ltx_ray.models.ltx2.text import Ltx2TextEncoder
from ltx_ray.models.ltx2.types import TORCH_TYPES
from ltx_ray.models.ltx2.upscaler import Ltx2Upscaler
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.protocols import (
    AudioDecoder,
    AudioEncoder,
    Denoiser,
    TextEncoder,
    Upscaler,
    VideoDecoder,
    VideoEncoder,
)
from ltx_ray.spec.recipe import Call
from ltx_ray.spec.weights import PARTS, Part

#: Classes a checkpoint may name in ``model_index.json``; no other is ever looked up.
TEXT_ENCODERS = ("Gemma3ForConditionalGeneration", "Gemma4UnifiedForConditionalGeneration")
VOCODERS: dict[str, Any] = {"LTX2Vocoder": LTX2Vocoder, "LTX2VocoderWithBWE": LTX2VocoderWithBWE}


FP32: Mapping[Part, str] = dict.fromkeys(PARTS, "fp32")


class Parts:
    """The modules of a checkpoint, each loaded when it is first asked for, on one device and in its own type."""

    def __init__(self, folder: Path, *, precisions: Mapping[Part, str] = FP32, device: str = "cpu") -> None:
        self._folder, self._precisions, self._device = folder, precisions, device

    @cached_property
    def transformer(self) -> Any:
        # LTX-2.0's configuration turns impaired passes into plain ones; the weights are the same for both.
        return self._load(LTX2VideoTransformer3DModel, "transformer", perturbed_attn=True)

    @cached_property
    def connectors(self) -> Any:
        return self._load(LTX2TextConnectors, "connectors")

    @cached_property
    def vae(self) -> Any:
        return self._load(AutoencoderKLLTX2Video, "video_vae")

    @cached_property
    def audio_vae(self) -> Any:
        return self._load(AutoencoderKLLTX2Audio, "audio_vae")

    @cached_property
    def vocoder(self) -> Any:
        """With bandwidth extension in float32, whatever the file's type, and its first stage clamped to [-1, 1].

        The configurations that diffusers' converter writes leave the clamp out.
        Source: ltx_core/model/audio_vae/vocoder.py, Lightricks/LTX-2@400fd31.
        """
        name = self._named("vocoder", tuple(VOCODERS))
        if name == LTX2VocoderWithBWE.__name__:
            return self._load(LTX2VocoderWithBWE, "vocoder", dtype=torch.float32, final_act_fn="clamp")
        return self._load(LTX2Vocoder, "vocoder")

    @cached_property
    def latent_upsampler(self) -> Any:
        return self._load(LTX2LatentUpsamplerModel, "upscaler")

    @cached_property
    def text_encoder(self) -> Any:
        transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        cls = getattr(transformers, self._named("text_encoder", TEXT_ENCODERS))
        module = cls.from_pretrained(
            self._folder / "text_encoder", dtype=self._type("text_encoder"), use_safetensors=True, local_files_only=True
        )
        return module.to(self._device).eval()

    @cached_property
    def tokenizer(self) -> Any:
        return transformers.AutoTokenizer.from_pretrained(
            self._folder / "tokenizer", local_files_only=True, trust_remote_code=False
        )

    def _load(self, cls: Any, part: Part, *, dtype: torch.dtype | None = None, **overrides: Any) -> Any:
        place, dtype = self._folder / FOLDERS[part][0], dtype or self._type(part)
        module = cls.from_pretrained(place, torch_dtype=dtype, use_safetensors=True, local_files_only=True, **overrides)
        return module.to(self._device).eval()

    def _type(self, part: Part) -> torch.dtype:
        return TORCH_TYPES[self._precisions[part]]

    def _named(self, part: str, known: tuple[str, ...]) -> str:
        """The class that ``model_index.json`` names for ``part``."""
        index = json.loads((self._folder / "model_index.json").read_text("utf-8"))
        name = index.get(part, [None, None])[1]
        if name not in known:
            raise ModelError(f"{self._folder}/model_index.json: {part} is {name}; known are {', '.join(known)}")
        return str(name)


class Ltx2Model:
    """Satisfies ``spec.protocols.Model``."""

    def __init__(self, facts: ModelFacts, parts: Parts | FileParts) -> None:
        self._facts, self.parts = facts, parts

    @property
    def facts(self) -> ModelFacts:
        return self._facts

    def text_encoder(self) -> TextEncoder:
        return Ltx2TextEncoder(self.parts.text_encoder, self.parts.tokenizer, self.parts.connectors)

    def denoiser(self, call: Call | None = None) -> Denoiser:
        return Ltx2Denoiser(self.parts.transformer, self.facts.video, self.facts.audio)

    def upscaler(self) -> Upscaler:
        vae = self.parts.vae
        factor = float(vae.config.scaling_factor)
        return Ltx2Upscaler(self.parts.latent_upsampler, vae.latents_mean, vae.latents_std, scaling_factor=factor)

    def video_decoder(self, tiling: str = "stream") -> VideoDecoder:
        from ltx_ray.models.ltx2.video_tiles import TiledVideoDecoder
        from ltx_ray.models.ltx2.video_vae import StreamingVideoDecoder

        if tiling == "tiles":
            return TiledVideoDecoder(self.parts.vae)

        return StreamingVideoDecoder(self.parts.vae)

    def video_encoder(self) -> VideoEncoder:
        from ltx_ray.models.ltx2.video_vae import StreamingVideoEncoder

        return StreamingVideoEncoder(self.parts.vae)

    def audio_decoder(self) -> AudioDecoder:
        from ltx_ray.models.ltx2.audio_vae import WindowedAudioDecoder

        return WindowedAudioDecoder(self.parts.audio_vae, self.parts.vocoder)

    def audio_encoder(self) -> AudioEncoder:
        from ltx_ray.models.ltx2.audio_encoder import MelAudioEncoder

        return MelAudioEncoder(self.parts.audio_vae, self.facts.audio)
