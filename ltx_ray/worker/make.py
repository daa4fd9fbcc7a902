"""Which stage makes an artifact, and of what: one case for every kind of recipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from safetensors import torch as tensors_io
from torch import Tensor

from ltx_ray.media.audio import write_wav
from ltx_ray.media.footage import footage_frames, footage_samples
from ltx_ray.media.seams import inspect_seams
from ltx_ray.media.write import encode_chunk
from ltx_ray.models.load import open_model
from ltx_ray.spec.canonical import canonical
from ltx_ray.spec.conditions import Condition
from ltx_ray.spec.protocols import Control, Model
from ltx_ray.spec.recipe import (
    AudioDecodeRecipe,
    ClipDecodeRecipe,
    ClipSoundRecipe,
    ConditionRecipe,
    ConnectRecipe,
    DecodeRecipe,
    EncodeSettings,
    GenerateRecipe,
    IngestRecipe,
    InspectRecipe,
    Recipe,
    RefineRecipe,
    StitchRecipe,
    TextEncodeRecipe,
    UpscaleRecipe,
)
from ltx_ray.stages.audio_decode import audio_decode
from ltx_ray.stages.condition import CONTEXT_S, condition
from ltx_ray.stages.connect import connect
from ltx_ray.stages.decode import decode
from ltx_ray.stages.generate import generate
from ltx_ray.stages.refine import refine
from ltx_ray.stages.segment import Given
from ltx_ray.stages.text_encode import text_encode
from ltx_ray.stages.upscale import upscale
from ltx_ray.worker.parents import Parents
from ltx_ray.worker.stitch import stitch

#: Axes of latents [1, C, F, H, W] and cells [1, L, C] along which segments are joined, and of their masks.
FRAMES_AXIS, CELLS_AXIS, MASK_AXIS = 2, 1, 1

Content = tuple[bytes | Path, str]  #: what is committed, and the suffix of a media file

TensorRecipe = TextEncodeRecipe | ConditionRecipe | GenerateRecipe | UpscaleRecipe | RefineRecipe | ConnectRecipe
MediaRecipe = DecodeRecipe | ClipDecodeRecipe | AudioDecodeRecipe | ClipSoundRecipe | StitchRecipe


def make(recipe: Recipe, parents: Parents, control: Control, *, scratch: Path) -> Content:
    """The artifact as bytes, or as a file in ``scratch``."""
    if isinstance(recipe, TensorRecipe):
        tensors = _tensors(recipe, parents, control)
        return tensors_io.save({name: tensor.contiguous() for name, tensor in tensors.items()}), ""
    if isinstance(recipe, InspectRecipe):
        errors = parents.numbers("connector", "reencode_error")
        found = inspect_seams(recipe, parents.files("chunk"), parents.files("sound"), errors)
        return canonical(found).encode(), ".json"
    assert not isinstance(recipe, IngestRecipe), "a user's file is copied in by the render itself, never by a worker"
    return _media(recipe, parents, control, scratch)


def _tensors(recipe: TensorRecipe, parents: Parents, control: Control) -> dict[str, Tensor]:
    model = open_model(recipe.model)
    match recipe:
        case TextEncodeRecipe():
            return text_encode(recipe, model)
        case ConditionRecipe():
            return _condition(recipe, parents, model)
        case GenerateRecipe():
            text, negative, given = parents.tensors("text"), _negative(parents), _given(parents, recipe.conditions)
            return generate(recipe, text, model, control, negative=negative, given=given)
        case UpscaleRecipe():
            return upscale(recipe, parents.tensor("latent", "video"), model)
        case RefineRecipe():
            return refine(
                recipe,
                parents.tensors("text"),
                model,
                control,
                negative=_negative(parents),
                video_BCFHW=parents.tensor("video", "video"),
                audio_BLC=parents.tensor("audio", "audio"),
                given=_given(parents, recipe.conditions),
            )
        case ConnectRecipe():
            video = parents.joined("latent", "video", recipe.pieces, dim=FRAMES_AXIS)
            audio = parents.joined("sound", "audio", [recipe.cells], dim=CELLS_AXIS)
            return connect(recipe, video, audio, model, control)


def _media(recipe: MediaRecipe, parents: Parents, control: Control, scratch: Path) -> Content:
    match recipe:
        case DecodeRecipe():
            video, previous = parents.joined("latent", "video", recipe.pieces, dim=FRAMES_AXIS), None
            if recipe.fade is not None:
                previous = parents.joined("previous", "video", recipe.fade.pieces, dim=FRAMES_AXIS)
            frames = decode(recipe, video, open_model(recipe.model), control, previous_BCFHW=previous)
            return _chunk(frames, recipe.encode, recipe.frame_rate, scratch)
        case ClipDecodeRecipe():
            (file,) = parents.files("file")
            pictures = footage_frames(file, recipe.footage, recipe.start, recipe.stop)
            frames = _told(pictures, recipe.stop - recipe.start, control)
            return _chunk(frames, recipe.encode, recipe.footage.frame_rate, scratch)
        case AudioDecodeRecipe():
            audio, model = parents.joined("latent", "audio", recipe.pieces, dim=CELLS_AXIS), open_model(recipe.model)
            return _sound(audio_decode(recipe, audio, model, control), model.facts.audio.sample_rate_hz, scratch)
        case ClipSoundRecipe():
            (file,), rate_hz = parents.files("file"), recipe.sample_rate_hz
            return _sound(
                footage_samples(file, sample_rate_hz=rate_hz, start=0, stop=recipe.num_samples), rate_hz, scratch
            )
        case StitchRecipe():
            stitch(recipe, parents.files("chunk"), parents.files("sound"), out=scratch / "video")
            return scratch / "video", f".{recipe.container}"


def _given(parents: Parents, conditions: Sequence[Condition]) -> list[Given]:
    """What the conditions name: of a parent "condition" for each, and of a parent "mask" for each that has one."""
    axes = {"video": FRAMES_AXIS, "audio": CELLS_AXIS}
    latents = parents.each("condition", [(each.modality, each.piece, axes[each.modality]) for each in conditions])
    masks = iter(parents.each("mask", [("mask", each.piece, MASK_AXIS) for each in conditions if each.has_mask]))
    pairs = zip(conditions, latents, strict=True)
    return [Given(latent, next(masks) if condition.has_mask else None) for condition, latent in pairs]


def _negative(parents: Parents) -> dict[str, Tensor] | None:
    return parents.tensors("negative") if parents.has("negative") else None


def _condition(recipe: ConditionRecipe, parents: Parents, model: Model) -> dict[str, Tensor]:
    """The recipe's frames of the file, with the sound from some seconds before them on."""
    (file,) = parents.files("file")
    rate_hz = model.facts.audio.sample_rate_hz
    begin, stop = (int(frame / recipe.footage.frame_rate * rate_hz) for frame in (recipe.start, recipe.stop))
    first = max(0, begin - CONTEXT_S * rate_hz)
    frames = footage_frames(file, recipe.footage, recipe.start, recipe.stop)
    blocks = list(footage_samples(file, sample_rate_hz=rate_hz, start=first, stop=stop))
    return condition(recipe, frames, np.concatenate(blocks, axis=1), model, num_context_samples=begin - first)


def _chunk(frames: Iterable[np.ndarray], settings: EncodeSettings, frame_rate: Fraction, scratch: Path) -> Content:
    encode_chunk(frames, scratch / "chunk", settings=settings, frame_rate=frame_rate)
    return scratch / "chunk", ""


def _sound(blocks: Iterable[np.ndarray], sample_rate_hz: int, scratch: Path) -> Content:
    write_wav(blocks, scratch / "sound", sample_rate_hz=sample_rate_hz)
    return scratch / "sound", ".wav"


def _told(pictures: Iterable[np.ndarray], num_frames: int, control: Control) -> Iterator[np.ndarray]:
    """Pictures [1, height, width, 3], each told to ``control``."""
    for idx, picture in enumerate(pictures):
        control.step(idx, num_frames)
        yield picture[None]
