"""A checkpoint of LTX-2 as ``spec.protocols.Model``: what stages ask for, out of its parts."""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor

from ltx_ray.models.ltx2.denoiser import Ltx2Denoiser
from ltx_ray.models.ltx2.files.read import Report, no_report
from ltx_ray.models.ltx2.parts import Parts
from ltx_ray.models.ltx2.text import Ltx2TextEncoder
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
from ltx_ray.spec.weights import Weights


class Ltx2Model:
    """Satisfies ``spec.protocols.Model``."""

    def __init__(self, facts: ModelFacts, parts: Parts) -> None:
        self._facts, self.parts = facts, parts

    def want(self, weights: Collection[Weights], report: Report = no_report) -> None:
        """What the next stage computes with; see ``Parts.want``."""
        self.parts.want(weights, report)

    def ahead(self, weights: Weights) -> None:
        """Load a part before a stage asks for it."""
        self.parts.ahead(weights)

    def close(self) -> None:
        """Let go of all parts."""
        self.parts.close()

    @property
    def facts(self) -> ModelFacts:
        return self._facts

    def text_encoder(self) -> TextEncoder:
        return Ltx2TextEncoder(self.parts)

    def denoiser(self, call: Call | None = None) -> Denoiser:
        return Ltx2Denoiser(self.parts.transformer, self.facts.video, self.facts.audio)

    def upscaler(self) -> Upscaler:
        mean, std, factor = self._statistics()
        return Ltx2Upscaler(self.parts.latent_upsampler, mean, std, scaling_factor=factor)

    def _statistics(self) -> tuple[Tensor, Tensor, float]:
        """What latents are normalised with; the VAE may leave before the upsampler comes."""
        vae = self.parts.vae
        return vae.latents_mean, vae.latents_std, float(vae.config.scaling_factor)

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
