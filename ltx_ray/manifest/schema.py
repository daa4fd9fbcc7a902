"""What a manifest says once it is resolved: every default filled in, every number checked.

Loaders make these; the planner reads them. A ``Video`` is one output file. Seconds and rates are exact ``Fraction``s.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from ltx_ray.spec.recipe import Guidance
from ltx_ray.spec.sigmas import ShiftedByTokens

#: The newest manifest version this program reads.
MANIFEST_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How one stage samples."""

    sampler: str
    sigmas: tuple[float, ...] | ShiftedByTokens  #: descending, ends in 0.0
    guidance: Guidance | None = None  #: None = the model is asked once a step


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """How a take is cut when one model call is not enough. ``frames`` None = the default rule."""

    frames: int | None
    connector: int
    overshoot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A stretch with its own prompt; ``cut`` starts a new take. Exactly one of ``seconds``, ``num_frames`` is set."""

    prompt: str
    seconds: Fraction | None
    num_frames: int | None
    seed: int
    cut: bool
    negative_prompt: str = ""  #: read only where guidance is away from it


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """The file a video becomes. ``path`` is relative, below the run's ``videos/``, template already filled in."""

    path: str
    codec: str
    crf: int
    preset: str
    crop: tuple[int, int] | None  #: (width, height) in pixels of the final size, cut from the centre; even
    audio_bit_rate: int
    provenance: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    id: str
    model: str
    preset: str
    width: int
    height: int
    frame_rate: Fraction
    scenes: tuple[Scene, ...]
    segment: Segment
    stage1: Sampling
    refine: Sampling | None  #: None = draft: stage 1 is decoded at stage-1 size
    audio_from: str  #: "stage1" or "stage2"
    decode_window: int | None  #: latents per decode window; None = the model's default
    decode_tiling: str  #: "stream" or "tiles"
    output: Output


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """``notes`` are sentences the user should see once: values that mean something else than written."""

    source: str
    videos: tuple[Video, ...]
    notes: tuple[str, ...] = ()
