"""What each task of a plan computes and holds beside its weights, by the table of the published models.

The table (footprints.json) is made by ``ltx-ray models calibrate``, without weights and without a GPU. It holds for
models of the published size; of others, as the built-in ones, nothing is known, and next to nothing is held. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from ltx_ray.plan.work import PartSize
from ltx_ray.spec.conditions import Keyframe, Reference
from ltx_ray.spec.cost import Cost
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.recipe import (
    TILE_FRAMES,
    AudioDecodeRecipe,
    ClipDecodeRecipe,
    ConditionRecipe,
    ConnectRecipe,
    DecodeRecipe,
    FilmRecipe,
    SamplingRecipe,
    SegmentRecipe,
    StillRecipe,
    TextEncodeRecipe,
    UpscaleRecipe,
)
from ltx_ray.spec.task import Task
from ltx_ray.spec.weights import Part, Weights

#: Blocks of the transformer and its channels, by which a model of the published size is known.
FULL_BLOCKS, FULL_CHANNELS = 48, 128
#: Of a part with blocks, what is outside them.
OUTSIDE_BLOCKS = 0.03
TEXT_BLOCKS = 48
#: Factors of the video VAE.
PX, FRAMES = 32, 8
#: What a tile's stretch of frames takes a pixel: three colours in float32, once more for what the next one shares.
STRETCH_BYTES = 3 * 4 * 2

NOTHING = Cost(0.0, 0)


class Picture(NamedTuple):
    """Of a latent: its size in pixels, and its frames in latents."""

    width_px: int
    height_px: int
    num_latents: int

    @property
    def area(self) -> int:
        """Latents of one frame."""
        return (self.width_px // PX) * (self.height_px // PX)

    @property
    def pixels(self) -> int:
        return self.width_px * self.height_px


@cache
def table() -> Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]]:
    """By family and kind of work, the coefficients of bytes and FLOPs; see ``models.ltx2.calibrate``."""
    found: dict[str, Any] = json.loads(files("ltx_ray.plan").joinpath("footprints.json").read_text("ascii"))
    return found


def is_full_size(facts: ModelFacts) -> bool:
    """Whether the table holds for this model."""
    return (facts.num_blocks, facts.video_channels) == (FULL_BLOCKS, FULL_CHANNELS) and facts.family in table()


def costs_of(tasks: Mapping[str, Task], models: Iterable[ModelFacts]) -> dict[str, Cost]:
    """By key, the costs of the tasks whose model is of the published size.

    Args:
        tasks: of a whole plan: what a decoding costs is seen from the latents that it reads.
    """
    families = {
        (weights.part, weights.digest): facts.family
        for facts in models
        if is_full_size(facts)
        for weights in (*facts.weights, *(each.weights for each in facts.upsamplers))
    }
    if not families:
        return {}
    pictures = latents_of(tasks)
    found: dict[str, Cost] = {}
    known: dict[tuple[object, ...], Cost] = {}
    for key, task in tasks.items():
        weights: tuple[Weights, ...] = getattr(task.recipe, "weights", ())
        family = next((families[w.part, w.digest] for w in weights if (w.part, w.digest) in families), None)
        if family is None:
            continue
        inputs = tuple(pictures[parent.key] for parent in task.parents if parent.key in pictures)
        shape = (family, _shape(task), inputs[:1])
        if shape not in known:
            known[shape] = _cost(family, task, inputs)
        found[key] = known[shape]
    return found


def latents_of(tasks: Mapping[str, Task]) -> dict[str, Picture]:
    """By key, the picture of each task that makes latents of one."""
    found: dict[str, Picture] = {}
    for key, task in tasks.items():
        recipe = task.recipe
        if isinstance(recipe, SegmentRecipe):
            found[key] = Picture(recipe.width_px, recipe.height_px, (recipe.num_frames - 1) // FRAMES + 1)
        elif isinstance(recipe, UpscaleRecipe):
            below = next((found[parent.key] for parent in task.parents if parent.key in found), None)
            if below is not None:
                width, height = int(below.width_px * recipe.ratio), int(below.height_px * recipe.ratio)
                found[key] = Picture(width, height, below.num_latents)
        elif isinstance(recipe, ConditionRecipe | FilmRecipe):
            length = (recipe.stop - recipe.start - 1) // FRAMES + 1
            found[key] = Picture(recipe.footage.width_px, recipe.footage.height_px, length)
    return found


def pictures_of(tasks: Mapping[str, Task]) -> dict[str, tuple[int, int]]:
    """By key, the size in pixels of what a task encodes as a chunk."""
    latents = latents_of(tasks)
    found: dict[str, tuple[int, int]] = {}
    for key, task in tasks.items():
        if isinstance(task.recipe, ClipDecodeRecipe):
            found[key] = task.recipe.footage.width_px, task.recipe.footage.height_px
        elif isinstance(task.recipe, DecodeRecipe):
            seen = next((latents[parent.key] for parent in task.parents if parent.key in latents), None)
            if seen is not None:
                found[key] = seen.width_px, seen.height_px
    return found


def size_of(weights: Weights, models: Iterable[ModelFacts]) -> PartSize:
    """What a part takes of a device; nothing, where its model does not say."""
    for facts in models:
        of_it = (*facts.weights, *(each.weights for each in facts.upsamplers))
        if any((each.part, each.digest) == (weights.part, weights.digest) for each in of_it):
            return _part_size(weights.part, dict(facts.part_bytes).get(weights.part, 0), facts)
    return PartSize(0)


def _part_size(part: Part, num_bytes: int, facts: ModelFacts) -> PartSize:
    num_blocks = {"transformer": facts.num_blocks or 0, "text_encoder": TEXT_BLOCKS}.get(part, 0)
    if not num_blocks or not num_bytes:
        return PartSize(num_bytes)
    outside = int(OUTSIDE_BLOCKS * num_bytes)
    return PartSize(num_bytes, (num_bytes - outside) // num_blocks, outside)


def _shape(task: Task) -> tuple[object, ...]:
    """Of a recipe, what its cost depends on."""
    recipe = task.recipe
    if isinstance(recipe, SegmentRecipe):
        size = (recipe.width_px, recipe.height_px, recipe.num_frames)
        return (task.stage, *size, recipe.sampling, tuple(map(_guide_size, recipe.conditions)))
    if isinstance(recipe, DecodeRecipe):
        return task.stage, sum(piece.length for piece in recipe.pieces), recipe.tiling
    if isinstance(recipe, ConnectRecipe):
        length = sum(piece.length for piece in recipe.pieces)
        return task.stage, length, recipe.stop - recipe.start, recipe.width_px, recipe.height_px, recipe.tiling
    if isinstance(recipe, AudioDecodeRecipe):
        return task.stage, sum(piece.length for piece in recipe.pieces)
    if isinstance(recipe, TextEncodeRecipe | UpscaleRecipe):
        return (task.stage,)
    return task.stage, recipe


def _guide_size(condition: object) -> tuple[int, int]:
    """Latents of a guide that is appended, and how many times it is smaller; (0, 1) = it takes no tokens."""
    if not isinstance(condition, Keyframe | Reference) or condition.modality != "video":
        return 0, 1
    return condition.piece.length, condition.downscale if isinstance(condition, Reference) else 1


def _cost(family: str, task: Task, inputs: Sequence[Picture]) -> Cost:
    match task.recipe:
        case SegmentRecipe() as recipe:
            return _sampling(family, recipe)
        case TextEncodeRecipe():
            text, connectors = _at(family, "text_encoder", 0), _at(family, "connectors", 0)
            return Cost(text.flops + connectors.flops, max(text.peak_bytes, connectors.peak_bytes))
        case AudioDecodeRecipe(pieces=pieces):
            return _at(family, "sound", sum(piece.length for piece in pieces))
        case StillRecipe(still=still):
            return _encoding(family, still.width_px, still.height_px, 1)
        case ConditionRecipe(footage=film) | FilmRecipe(footage=film) as recipe:
            return _encoding(family, film.width_px, film.height_px, recipe.stop - recipe.start)
    return _of_latents(family, task, inputs[0]) if inputs else NOTHING


def _of_latents(family: str, task: Task, seen: Picture) -> Cost:
    """Of a stage that reads latents of a picture."""
    match task.recipe:
        case UpscaleRecipe():
            return _at(family, "upscaler", seen.area * seen.num_latents)
        case DecodeRecipe(pieces=pieces, tiling=tiling):
            return _decoding(family, seen, sum(piece.length for piece in pieces), tiling)
        case ConnectRecipe(pieces=pieces, tiling=tiling) as recipe:
            decoded = _decoding(family, seen, sum(piece.length for piece in pieces), tiling)
            encoded = _encoding(family, recipe.width_px, recipe.height_px, recipe.stop - recipe.start)
            return Cost(decoded.flops + encoded.flops, max(decoded.peak_bytes, encoded.peak_bytes))
    return NOTHING


def _sampling(family: str, recipe: SegmentRecipe) -> Cost:
    picture = Picture(recipe.width_px, recipe.height_px, (recipe.num_frames - 1) // FRAMES + 1)
    guides = sum(length * picture.area // smaller**2 for length, smaller in map(_guide_size, recipe.conditions))
    one = _at(family, "sample", picture.area * picture.num_latents + guides)
    guidance, num_steps = recipe.sampling.guidance, num_evaluations(recipe.sampling)
    if guidance is None:
        return Cost(num_steps * one.flops, one.peak_bytes)
    passes = 1 + guidance.uses_negative + guidance.uses_perturbed + guidance.uses_isolated
    # The negative prompt goes through together with the plain one, as a batch of 2.
    return Cost(num_steps * passes * one.flops, one.peak_bytes * (2 if guidance.uses_negative else 1))


def num_evaluations(sampling: SamplingRecipe) -> int:
    """How often a descent asks the model, each kind of pass counted once."""
    num_steps = len(sampling.sigmas) - 1
    return 2 * num_steps - 1 if sampling.sampler == "res_2s" else num_steps


def _decoding(family: str, picture: Picture, num_latents: int, tiling: str) -> Cost:
    flops = _polynomial(family, "tile" if tiling == "tiles" else "decode", "flops", picture.area * num_latents)
    if tiling != "tiles":
        return Cost(flops, int(_polynomial(family, "decode", "bytes", picture.pixels)))
    stretch = STRETCH_BYTES * TILE_FRAMES * picture.pixels
    return Cost(flops, int(_polynomial(family, "tile", "bytes", 0)) + stretch)


def _encoding(family: str, width_px: int, height_px: int, num_frames: int) -> Cost:
    picture = Picture(width_px, height_px, (num_frames - 1) // FRAMES + 1)
    flops = _polynomial(family, "encode", "flops", picture.area * picture.num_latents)
    return Cost(flops, int(_polynomial(family, "encode", "bytes", picture.pixels)))


def _at(family: str, kind: str, size: float) -> Cost:
    return Cost(_polynomial(family, kind, "flops", size), int(_polynomial(family, kind, "bytes", size)))


def _polynomial(family: str, kind: str, what: str, size: float) -> float:
    return max(0.0, sum(each * size**power for power, each in enumerate(table()[family][kind][what])))
