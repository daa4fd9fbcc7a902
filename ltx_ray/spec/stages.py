"""The stages: one row each, in the order a video passes through them. Whatever lists stages derives from this table.

A row that lacks a column is a TypeError. To add a stage: its name, its row, its recipe (``spec.recipe``), the file of
its name below ``stages`` that makes it, and a line in the plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ltx_ray.spec.keep import KEEPS, Keep
from ltx_ray.spec.recipe import (
    AudioDecodeRecipe,
    ClipDecodeRecipe,
    ClipSoundRecipe,
    ConditionRecipe,
    ConnectRecipe,
    DecodeRecipe,
    FilmRecipe,
    GenerateRecipe,
    IngestRecipe,
    InspectRecipe,
    RefineRecipe,
    StillRecipe,
    StitchRecipe,
    TextEncodeRecipe,
    TrackRecipe,
    UpscaleRecipe,
)
from ltx_ray.spec.weights import Part

Stage = Literal[
    "ingest", "text_encode", "condition", "generate", "upscale", "connect", "refine", "decode", "audio_decode",
    "stitch", "inspect",
]  # fmt: skip

#: Stages that are put on a card together, because they share their parts or cost next to nothing beside each other;
#: "files" never touch one.
Group = Literal["text", "sample", "middle", "decode", "files"]

#: Where a stage runs: on a GPU where there is one, on any core, or in the render command itself.
Device = Literal["gpu", "cpu", "driver"]

ALWAYS: frozenset[Keep] = frozenset(KEEPS)
SAMPLED: frozenset[Keep] = frozenset({"all", "latents"})
ONLY_ALL: frozenset[Keep] = frozenset({"all"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSpec:
    #: Rises, with a line in CHANGELOG.md, whenever the bytes of an unchanged recipe change; every key of the stage
    #: changes with it.
    version: int
    recipes: tuple[type, ...]  #: the kinds of recipe it takes
    weights: tuple[Part, ...]  #: the parts of a model that it uses, in the order in which recipes carry them
    device: Device
    #: One task is taken to last so long, for 121 frames at 1080p on an H100: round figures, not measured here. Only
    #: their proportions matter to the order of tasks, and it hardly changes with them: in a chain of segments refine
    #: decides, wherever it runs.
    seconds: float
    group: Group
    #: Of a card's dense rate in matrix products, what it reaches: the transformer most, convolutions little.
    efficiency: float
    kept_by: frozenset[Keep]  #: policies under which its artifacts stay when a video is finished


SPECS: Mapping[Stage, StageSpec] = {
    "ingest": StageSpec(
        version=1,
        recipes=(IngestRecipe,),
        weights=(),
        device="driver",
        seconds=1.0,
        group="files",
        efficiency=0.15,
        kept_by=ONLY_ALL,
    ),
    "text_encode": StageSpec(
        version=2,
        recipes=(TextEncodeRecipe,),
        weights=("text_encoder", "connectors"),
        device="gpu",
        seconds=1.0,
        group="text",
        efficiency=0.35,
        kept_by=ONLY_ALL,
    ),
    "condition": StageSpec(
        version=2,
        recipes=(ConditionRecipe, StillRecipe, TrackRecipe, FilmRecipe),
        weights=("video_vae", "audio_vae"),
        device="gpu",
        seconds=2.0,
        group="middle",
        efficiency=0.15,
        kept_by=SAMPLED,
    ),
    "generate": StageSpec(
        version=2,
        recipes=(GenerateRecipe,),
        weights=("transformer",),
        device="gpu",
        seconds=10.0,
        group="sample",
        efficiency=0.4,
        kept_by=SAMPLED,
    ),
    "upscale": StageSpec(
        version=1,
        recipes=(UpscaleRecipe,),
        weights=("upscaler", "video_vae"),
        device="gpu",
        seconds=1.0,
        group="middle",
        efficiency=0.15,
        kept_by=ONLY_ALL,
    ),
    "connect": StageSpec(
        version=1,
        recipes=(ConnectRecipe,),
        weights=("video_vae",),
        device="gpu",
        seconds=2.0,
        group="middle",
        efficiency=0.15,
        kept_by=ONLY_ALL,
    ),
    "refine": StageSpec(
        version=2,
        recipes=(RefineRecipe,),
        weights=("transformer",),
        device="gpu",
        seconds=25.0,
        group="sample",
        efficiency=0.4,
        kept_by=SAMPLED,
    ),
    "decode": StageSpec(
        version=1,
        recipes=(DecodeRecipe, ClipDecodeRecipe),
        weights=("video_vae",),
        device="gpu",
        seconds=6.0,
        group="decode",
        efficiency=0.15,
        kept_by=ONLY_ALL,
    ),
    "audio_decode": StageSpec(
        version=2,
        recipes=(AudioDecodeRecipe, ClipSoundRecipe),
        weights=("audio_vae", "vocoder"),
        device="gpu",
        seconds=1.0,
        group="decode",
        efficiency=0.15,
        kept_by=ONLY_ALL,
    ),
    "stitch": StageSpec(
        version=1,
        recipes=(StitchRecipe,),
        weights=(),
        device="cpu",
        seconds=1.0,
        group="files",
        efficiency=0.15,
        kept_by=ALWAYS,
    ),
    "inspect": StageSpec(
        version=1,
        recipes=(InspectRecipe,),
        weights=(),
        device="cpu",
        seconds=1.0,
        group="files",
        efficiency=0.15,
        kept_by=ALWAYS,
    ),
}
STAGES: tuple[Stage, ...] = tuple(SPECS)
