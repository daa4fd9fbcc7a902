"""What generate and refine share: layouts, noise and one descent over both modalities.

B batch, C channels, F latent frames, H W latent height and width, T tokens, L audio cells. Latents are normalised
float32. Given the same software and device class the result is bit-stable: noise is drawn on the CPU from the recipe's
seeds. What the recipe pins comes out of the descent as it was given, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ltx_ray.sampling.conditioning import hold
from ltx_ray.sampling.denoise import denoise
from ltx_ray.sampling.noise import draw, noised
from ltx_ray.sampling.state import (
    AudioLayout,
    LatentState,
    Tokens,
    VideoLayout,
    empty_state,
    pack_video,
    unpack_video,
)
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.protocols import Control, Model
from ltx_ray.spec.recipe import Pins, RefineRecipe, SegmentRecipe
from ltx_ray.stages.work import CELLS_AXIS, FRAMES_AXIS, Inputs

#: Which stage asks, for models that must know: 1 starts from nothing, 2 from what stage 1 made.
STAGE_NUMBERS = {"generate": 1, "refine": 2}


@dataclass(frozen=True, slots=True)
class Known:
    """What a neighbour has settled: the latents and cells that the recipe's ``Pins`` name, and no others."""

    video: Tensor  #: [1, C, F, H, W]
    audio: Tensor  #: [1, L, C]


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
    stage: str,
    negative: Mapping[str, Tensor] | None = None,
    connector: Known | None = None,
    tail: Known | None = None,
    start: Tokens | None = None,
) -> dict[str, Tensor]:
    """Descend the recipe's sigmas from noise, or from the given latents noised to the first sigma.

    Args:
        negative: what the negative prompt was encoded to; needed when the guidance is away from it.
        connector: for ``recipe.head``.
        tail: for ``recipe.tail``.
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
    for role, pins, known in (("connector", recipe.head, connector), ("tail", recipe.tail, tail)):
        video, audio = _pinned(video, audio, pins, known, role)
    sigma = recipe.sampling.sigmas[0]
    video = noised(video, draw(recipe.video_seed, video.latent.shape), sigma)
    audio = noised(audio, draw(recipe.audio_seed, audio.latent.shape), sigma)
    video, audio = denoise(
        model.denoiser(),
        video,
        audio,
        sampling=recipe.sampling,
        text={**text, **_conditions(recipe, stage)},
        control=control,
        guidance=recipe.sampling.guidance,
        negative_text=negative,
        noise_seed=recipe.video_seed,
    )
    return {"video": unpack_video(video.latent, video_layout), "audio": audio.latent}


def _conditions(recipe: SegmentRecipe, stage: str) -> dict[str, Tensor]:
    """What a model may want to know of the call beside its prompt; LTX wants nothing of it."""
    conditions = {"stage": torch.tensor(STAGE_NUMBERS[stage], dtype=torch.uint8)}
    if recipe.label is not None:
        conditions["label"] = torch.frombuffer(bytearray(recipe.label.encode()), dtype=torch.uint8)
    if isinstance(recipe, RefineRecipe) and recipe.is_free:
        conditions["free"] = torch.tensor(1, dtype=torch.uint8)
    return conditions


def _pinned(
    video: LatentState, audio: LatentState, pins: Pins | None, known: Known | None, role: str
) -> tuple[LatentState, LatentState]:
    """Both states with what ``known`` holds in the places that ``pins`` names."""
    if pins is None or known is None:
        if pins is not None or known is not None:
            raise ValueError(f"{role}: {'given, and the recipe pins none' if pins is None else 'missing, and pinned'}")
        return video, audio
    layout = video.video_layout
    num_latents, num_cells = pins.latents.stop - pins.latents.start, pins.cells.stop - pins.cells.start
    _check_shape(role, known.video, (1, video.clean.shape[2], num_latents, layout.height, layout.width))
    _check_shape(role, known.audio, (1, num_cells, audio.clean.shape[2]))
    start = pins.latent_start * layout.height * layout.width
    video = hold(video, pack_video(known.video), start=start, strength=pins.strength)
    return video, hold(audio, known.audio, start=pins.cell_start)


def _starting_from(state: LatentState, tokens_BTC: Tensor) -> LatentState:
    _check_shape("start", tokens_BTC, tuple(state.latent.shape))
    return replace(state, latent=tokens_BTC)


def _check_shape(what: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{what}: latent of shape {tuple(tensor.shape)} where {shape} is needed")


def known(inputs: Inputs, pins: Pins | None, role: str) -> Known | None:
    """What a recipe pins of the parent with this role."""
    if pins is None:
        assert not inputs.has(role), f"a parent {role} and nothing in the recipe that says where it goes"
        return None
    video = inputs.joined(role, "video", [pins.latents], dim=FRAMES_AXIS)
    return Known(video, inputs.joined(role, "audio", [pins.cells], dim=CELLS_AXIS))


def negative_text(inputs: Inputs) -> dict[str, Tensor] | None:
    """What the negative prompt was encoded to, if there is one."""
    return inputs.tensors("negative") if inputs.has("negative") else None
