"""Guidance: the model is asked in up to four ways, and the answer is pushed away from the impaired ones.

All arithmetic is on x0, in float32, apart for picture and sound. The plain and the negative prompt go through the model
as one batch of 2, negative first; then without self-attention (STG); then with picture and sound isolated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ltx_ray.errors import ModelError, PlanError
from ltx_ray.sampling.state import LatentState, Tokens
from ltx_ray.spec.protocols import Denoiser, ImpairableDenoiser
from ltx_ray.spec.recipe import Guidance, GuidanceScales

Texts = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Answers:
    """What the model says of one point, velocities or x0s. None = not asked."""

    plain: Tokens
    negative: Tokens | None = None
    perturbed: Tokens | None = None
    isolated: Tokens | None = None

    def map(self, convert: Callable[[Tokens], Tokens]) -> Answers:
        others = (self.negative, self.perturbed, self.isolated)
        return Answers(convert(self.plain), *(None if other is None else convert(other) for other in others))


class Questions:
    """Asks a denoiser everything that ``guidance`` compares, for one prompt.

    Args:
        negative_text: what the encoder made of the negative prompt; every tensor has a batch axis first and the shape
            of its namesake in ``text``.

    Raises:
        PlanError: guidance asks for a negative prompt or for blocks that are not there.
        ModelError: guidance asks for a pass that the model does not have.
    """

    def __init__(
        self, denoiser: Denoiser, guidance: Guidance, *, text: Texts, negative_text: Texts | None = None
    ) -> None:
        self._denoiser, self._guidance, self._text = denoiser, guidance, text
        self._both = _negative_and_plain(guidance, text, negative_text)
        if guidance.uses_perturbed and not guidance.stg_blocks:
            raise PlanError("guidance.stg_blocks: empty, and stg is not 0.0; name the blocks or set stg to 0.0")
        self._impaired = None
        if guidance.uses_perturbed or guidance.uses_isolated:
            self._impaired = _impairable(denoiser).impaired_velocity

    def ask(self, video: LatentState, audio: LatentState, sigma: float) -> Answers:
        """Velocities at noise level ``sigma``."""
        plain, negative = self._plain_and_negative(video, audio, sigma)
        perturbed = isolated = None
        if self._impaired is not None and self._guidance.uses_perturbed:
            skip_video, skip_audio = self._guidance.skip_video, self._guidance.skip_audio
            answer = self._impaired(video, audio, sigma, self._text, skip_video=skip_video, skip_audio=skip_audio)
            perturbed = Tokens(*answer)
        if self._impaired is not None and self._guidance.uses_isolated:
            isolated = Tokens(*self._impaired(video, audio, sigma, self._text, isolate=True))
        return Answers(plain, negative, perturbed, isolated)

    def _plain_and_negative(self, video: LatentState, audio: LatentState, sigma: float) -> tuple[Tokens, Tokens | None]:
        if self._both is None:
            return Tokens(*self._denoiser.velocity(video, audio, sigma, self._text)), None
        both = self._denoiser.velocity(_twice(video), _twice(audio), sigma, self._both)
        (video_negative, video_plain), (audio_negative, audio_plain) = (tokens.chunk(2) for tokens in both)
        return Tokens(video_plain, audio_plain), Tokens(video_negative, audio_negative)


def guide(answers: Answers, guidance: Guidance) -> Tokens:
    """The guided x0s of both modalities, from x0s."""
    others = (answers.negative, answers.perturbed, answers.isolated)
    video = guided(answers.plain.video, guidance.video, *(other.video if other else None for other in others))
    audio = guided(answers.plain.audio, guidance.audio, *(other.audio if other else None for other in others))
    return Tokens(video, audio)


def guided(
    plain: Tensor,
    scales: GuidanceScales,
    negative: Tensor | None = None,
    perturbed: Tensor | None = None,
    isolated: Tensor | None = None,
) -> Tensor:
    """One modality: plain + (cfg-1) (plain-negative) + stg (plain-perturbed) + (modality-1) (plain-isolated).

    Then rescaled: the standard deviation over a sample is moved the share ``rescale`` of the way back to that of plain.
    Neutral scales leave ``plain`` as it is, whatever else was asked for the other modality.

    Source: MultiModalGuider.calculate, Lightricks/LTX-2@400fd31 ltx_core/components/guiders.py, in the order of
    operations of LTX2Pipeline, diffusers 0.42.1. Rescaling: Lin et al. 2023 (arXiv:2305.08891), section 3.4.
    """
    terms = ((scales.cfg - 1.0, negative), (scales.stg, perturbed), (scales.modality - 1.0, isolated))
    pushed = plain
    for scale, other in terms:
        if scale != 0.0:
            assert other is not None
            pushed = pushed + scale * (plain - other)
    if scales.rescale == 0.0 or pushed is plain:
        return pushed
    axes = tuple(range(1, plain.ndim))
    ratio = plain.std(dim=axes, keepdim=True) / pushed.std(dim=axes, keepdim=True)
    return scales.rescale * (pushed * ratio) + (1.0 - scales.rescale) * pushed


def _twice(state: LatentState) -> LatentState:
    latent, clean, mask = (torch.cat([t, t]) for t in (state.latent, state.clean, state.denoise_mask))
    return replace(state, latent=latent, clean=clean, denoise_mask=mask)


def _negative_and_plain(guidance: Guidance, text: Texts, negative_text: Texts | None) -> Texts | None:
    """``text`` with the batch of 2; None when no negative prompt is needed."""
    if not guidance.uses_negative:
        return None
    if negative_text is None:
        raise PlanError(
            "guidance.cfg: not 1.0, and there is no negative prompt to compare with; give one or set cfg to 1.0"
        )
    return {name: torch.cat([negative_text[name], text[name]]) for name in text}


def _impairable(denoiser: Denoiser) -> ImpairableDenoiser:
    if not isinstance(denoiser, ImpairableDenoiser):
        name = type(denoiser).__name__
        raise ModelError(f"guidance: {name} cannot run impaired; set stg to 0.0 and modality to 1.0")
    return denoiser
