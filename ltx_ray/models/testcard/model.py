"""The parts of the built-in model, as ``spec.protocols.Model`` wants them. There is nothing to load."""

from __future__ import annotations

import torch
from torch import Tensor

from ltx_ray.errors import ModelError
from ltx_ray.models.testcard.denoise import CardDenoiser
from ltx_ray.models.testcard.facts import TESTCARD
from ltx_ray.models.testcard.sound import CardAudioDecoder, CardAudioEncoder
from ltx_ray.models.testcard.video import CardUpscaler, CardVideoDecoder, CardVideoEncoder
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


class CardTextEncoder:
    """The prompt as it is."""

    def encode(self, prompt: str) -> dict[str, Tensor]:
        """``prompt``: uint8 [bytes], UTF-8."""
        octets = bytearray(prompt.encode("utf-8", "replace") or b" ")
        return {"prompt": torch.frombuffer(octets, dtype=torch.uint8).clone()}


class TestCard:
    """Satisfies ``spec.protocols.Model``."""

    __test__ = False  # not a test class, whatever its name says to pytest

    @property
    def facts(self) -> ModelFacts:
        return TESTCARD

    def want(self, weights: object, report: object) -> None:
        """There is nothing to load."""

    def ahead(self, weights: object) -> None:
        """Nor beforehand."""

    def close(self) -> None:
        """There is nothing to let go of."""

    def text_encoder(self) -> TextEncoder:
        return CardTextEncoder()

    def denoiser(self, call: Call | None = None) -> Denoiser:
        """Raises ModelError without a call: the card would not know which strip is its own."""
        if call is None:
            raise ModelError(
                "testcard: denoiser() was given no call; a plan says stage 1 or 2 in the recipe of a segment"
            )
        return CardDenoiser(call)

    def upscaler(self) -> Upscaler:
        return CardUpscaler()

    def video_decoder(self, tiling: str = "stream") -> VideoDecoder:
        """The card's codec sees no neighbours, so tiles and stream are the same."""
        return CardVideoDecoder()

    def video_encoder(self) -> VideoEncoder:
        return CardVideoEncoder()

    def audio_decoder(self) -> AudioDecoder:
        return CardAudioDecoder()

    def audio_encoder(self) -> AudioEncoder:
        return CardAudioEncoder()
