"""Recipes: everything that decides the bytes of an artifact, and nothing else. They are what gets hashed.

Device, worker, path and log level never appear here. Adding or renaming a field changes every key of its stage.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class TextEncodeRecipe:
    model: str  #: ModelFacts.digest
    prompt: str
    dtype: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuidanceScales:
    """How far one modality is pushed away from what an impaired model says. The defaults are neutral and free."""

    cfg: float = 1.0  #: away from the negative prompt
    stg: float = 0.0  #: away from the model without self-attention in ``Guidance.stg_blocks``
    modality: float = 1.0  #: away from the model whose picture and sound do not see each other
    rescale: float = 0.0  #: 0 to 1: how far the spread of the result is brought back to that of the unguided one


@dataclass(frozen=True, slots=True, kw_only=True)
class Guidance:
    """Guidance of a descent, apart for picture and sound; each kind that either of them uses costs one more pass."""

    video: GuidanceScales = GuidanceScales()
    audio: GuidanceScales = GuidanceScales()
    stg_blocks: tuple[int, ...] = ()

    @property
    def uses_negative(self) -> bool:
        return self.video.cfg != 1.0 or self.audio.cfg != 1.0

    @property
    def uses_perturbed(self) -> bool:
        return self.video.stg != 0.0 or self.audio.stg != 0.0

    @property
    def uses_isolated(self) -> bool:
        return self.video.modality != 1.0 or self.audio.modality != 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingRecipe:
    """One descent of the noise schedule; shared by generate and refine."""

    sampler: str
    sigmas: tuple[float, ...]  #: descending, ends in 0.0
    guidance: Guidance | None = None  #: None = the model is asked once a step


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRecipe:
    """One descent over one segment of video and audio latents."""

    model: str
    sampling: SamplingRecipe
    video_seed: int
    audio_seed: int
    num_frames: int
    frame_rate: Fraction
    width_px: int  #: of the picture this stage's latent decodes to
    height_px: int
    audio_start: int  #: first audio cell, counted from the take's start
    num_audio_cells: int
    dtype: str
    label: str | None  #: the video id, for models that paint it; otherwise None


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateRecipe(SegmentRecipe):
    """Stage 1: from noise, at stage-1 size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpscaleRecipe:
    model: str
    ratio: Fraction
    dtype: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefineRecipe(SegmentRecipe):
    """Stage 2: from the upscaled latent noised to ``sampling.sigmas[0]``, at final size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeSettings:
    """How frames become a coded chunk. The thread count is fixed because it can change the bytes."""

    codec: str  #: "h264", "h265", "ffv1"
    crf: int
    preset: str
    gop_frames: int
    threads: int
    crop_px: tuple[int, int] | None  #: (width, height), cut from the centre


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeRecipe:
    """Frames [start, stop) of a take, decoded and encoded at once."""

    model: str
    start: int
    stop: int
    tiling: str  #: "stream", exact in flat memory, or "tiles", the reference's grid of overlapping pieces
    frame_rate: Fraction
    encode: EncodeSettings
    dtype: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioDecodeRecipe:
    model: str
    num_samples: int
    dtype: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StitchRecipe:
    """Chunks and sound to one file, by packet copy."""

    num_frames: int
    frame_rate: Fraction
    container: str  #: "mp4", "mov" or "mkv"
    audio_codec: str
    audio_bit_rate: int
    provenance: str | None  #: canonical JSON put into the file's comment tag; None = nothing is written


Recipe = (
    TextEncodeRecipe | GenerateRecipe | UpscaleRecipe | RefineRecipe | DecodeRecipe | AudioDecodeRecipe | StitchRecipe
)
