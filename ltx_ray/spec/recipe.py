"""Recipes: everything that decides the bytes of an artifact, and nothing else. They are what gets hashed.

Device, worker, path and log level never appear here. Adding or renaming a field changes every key of its stage.
``weights`` are those of the parts that the recipe's stage uses, as ``spec.stages`` lists them.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from ltx_ray.spec.canonical import Shared, later
from ltx_ray.spec.conditions import Condition
from ltx_ray.spec.piece import Piece
from ltx_ray.spec.weights import Weights

#: The reference's grid of overlapping pieces in time, in frames; see ``models.ltx2.video_tiles``.
TILE_FRAMES = 80
TILE_OVERLAP_FRAMES = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class TextEncodeRecipe:
    weights: tuple[Weights, ...]
    prompt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuidanceScales:
    """How far one modality is pushed away from what an impaired model says. The defaults are neutral and free."""

    cfg: float = 1.0  #: away from the negative prompt
    stg: float = 0.0  #: away from the model without self-attention in ``Guidance.stg_blocks``
    modality: float = 1.0  #: away from the model whose picture and sound do not see each other
    rescale: float = 0.0  #: 0 to 1: how far the spread of the result is brought back to that of the unguided one


@dataclass(frozen=True, slots=True, kw_only=True)
class Guidance(Shared):
    """Guidance of a descent, apart for picture and sound; each kind that either of them uses costs one more pass."""

    video: GuidanceScales = GuidanceScales()
    audio: GuidanceScales = GuidanceScales()
    stg_blocks: tuple[int, ...] = ()
    audio_stg_blocks: tuple[int, ...] = later(
        (), since=2
    )  #: those of the sound, where they are others than the picture's

    @property
    def skip_video(self) -> tuple[int, ...]:
        """Blocks that the impaired pass runs without self-attention of the picture."""
        return self.stg_blocks if self.video.stg else ()

    @property
    def skip_audio(self) -> tuple[int, ...]:
        """Blocks that the impaired pass runs without self-attention of the sound."""
        return (self.audio_stg_blocks or self.stg_blocks) if self.audio.stg else ()

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
class SamplingRecipe(Shared):
    """One descent of the noise schedule; shared by generate and refine."""

    sampler: str
    sigmas: tuple[float, ...]  #: descending, ends in 0.0
    guidance: Guidance | None = None  #: None = the model is asked once a step


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a model that asks for it is told of a descent, beside its text and its states."""

    stage: Literal[1, 2]  #: 1 starts from nothing, 2 from what stage 1 made
    label: str  #: the video id
    is_free: bool  #: nothing stands before the segment on purpose, though it does not begin its take
    is_single_pass: bool = later(False, since=2)  #: no stage 2 follows: what stage 1 makes is the finished picture


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRecipe:
    """One descent over one segment of video and audio latents."""

    weights: tuple[Weights, ...]
    sampling: SamplingRecipe
    video_seed: int
    audio_seed: int
    num_frames: int
    frame_rate: Fraction
    width_px: int  #: of the picture this stage's latent decodes to
    height_px: int
    origin_s: Fraction  #: when the segment's frame 0 is shown, in seconds of its take
    audio_start: int  #: first audio cell, counted from the take's start
    num_audio_cells: int
    conditions: tuple[Condition, ...]  #: what is given; for each a parent "condition", in this order
    call: Call | None  #: for models that ask (``ModelFacts.wants_call``); otherwise None


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateRecipe(SegmentRecipe):
    """Stage 1: from noise, at stage-1 size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpscaleRecipe:
    weights: tuple[Weights, ...]
    ratio: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class RefineRecipe(SegmentRecipe):
    """Stage 2: from the upscaled latent noised to ``sampling.sigmas[0]``, at final size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectRecipe:
    """The last kept frames of a segment decoded, brought to a size and encoded again: the head of the next segment."""

    weights: tuple[Weights, ...]
    pieces: tuple[Piece, ...]  #: of each parent "latent": the connector's latents, context before, overshoot after
    start: int  #: frames [start, stop) of what the pieces decode to are the connector
    stop: int
    cells: Piece  #: of the parent "sound": those under the connector
    width_px: int  #: of the connector's latent
    height_px: int
    tiling: str  #: as in DecodeRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestRecipe:
    """A file of the user's, copied into the store as it is."""

    sha256: str


#: Rises where a file that a user gives is read otherwise: which pictures, colours and samples it holds. No version of a
#: stage says it, because the stages that bring files into an output make the pictures and sound of takes as well.
READER = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Footage:
    """A file seen at another rate and size: frame i is what it shows at i / frame_rate, scaled to cover and cropped."""

    frame_rate: Fraction
    width_px: int
    height_px: int
    shifts: tuple[Fraction, ...] = later((), since=2)  #: see ``media.clock``
    matrix: Literal["bt601", "bt709"] | None = later(None, since=2)  #: whatever the file says; None = what it says
    reader: int = READER
    #: "reflect": at its own size, in the middle, what is missing around it mirrored.
    fit: Literal["cover", "reflect"] = later("cover", since=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionRecipe:
    """Frames [start, stop) of the parent "file" and the sound under them, as latents: a connector from outside."""

    weights: tuple[Weights, ...]
    footage: Footage
    start: int
    stop: int
    num_cells: int  #: audio cells that end inside the frames, counted from ``start``
    sample_rate_hz: int  #: at which the encoder is given the sound
    track: int | None = later(None, since=2)  #: of sound, counted from 0; None = the one that players play


#: As ``READER``, of images.
STILL_READER = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """An image at a size: upright, scaled to cover it and cropped, or to lie inside it and padded."""

    width_px: int
    height_px: int
    fit: str  #: "cover" or "pad"
    background: tuple[int, int, int]  #: under what is transparent and around what is padded
    crf: int  #: coded as one frame of H.264 and decoded again; 0 = not
    reader: int = STILL_READER


@dataclass(frozen=True, slots=True, kw_only=True)
class StillRecipe:
    """The parent "file", an image, as one latent."""

    weights: tuple[Weights, ...]
    still: Still


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmRecipe:
    """Frames [start, stop) of the parent "file" as latents; past its end the last picture stands still."""

    weights: tuple[Weights, ...]
    footage: Footage
    start: int
    stop: int
    edges: str = ""  #: "canny": white edges on black are taken in place of each picture


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackRecipe:
    """The sound of the parent "file" from a time on, as cells."""

    weights: tuple[Weights, ...]
    start_s: Fraction  #: of the file, where the first cell that is encoded begins
    run_up_cells: int  #: that are encoded before the others and dropped, so that these are as in the whole sound
    num_cells: int  #: after them
    sample_rate_hz: int  #: at which the encoder is given the sound
    track: int | None = None  #: of sound, counted from 0; None = the one that players play
    shifts: tuple[Fraction, ...] = ()  #: see ``media.clock``
    reader: int = READER


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeSettings(Shared):
    """How frames become a coded chunk. The thread count is fixed because it can change the bytes."""

    codec: str  #: a row of spec.codecs
    crf: int | None  #: None = the codec has none
    preset: str | None  #: None = the codec has none
    gop_frames: int
    threads: int
    crop_px: tuple[int, int] | None  #: (width, height), cut from the centre


@dataclass(frozen=True, slots=True, kw_only=True)
class Fade:
    """The first frames of a window blend from what the segment before shows there, weights rising linearly."""

    pieces: tuple[Piece, ...]  #: of each parent "previous"
    start: int  #: the frame of these pieces that the window's first frame blends with
    num_frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A window, or a sound, lies inside the parent "file": its edges blend with what the file shows or plays there."""

    footage: Footage
    start: int  #: the file's frame, or sample, under the first one
    num_in: int  #: frames, or samples, that blend from the file, weights rising linearly; 0 = it begins at once
    num_out: int  #: and back at the end
    track: int | None = None  #: of sound


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeRecipe(Shared):
    """A window of a take: frames decoded and encoded at once.

    Nothing here says where in the take the window lies, so an edit before or after it changes nothing.
    """

    weights: tuple[Weights, ...]
    pieces: tuple[Piece, ...]  #: of each parent "latent": the window's latents and what their decoding depends on
    start: int  #: frames [start, stop) of what the pieces decode to
    stop: int
    fade: Fade | None
    tiling: str  #: "stream", exact in flat memory, or "tiles", the reference's grid of overlapping pieces
    frame_rate: Fraction
    encode: EncodeSettings
    patch: Patch | None = later(None, since=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossfade:
    """The first samples of a take's sound blend, at equal power, from what the take before goes on to play."""

    pieces: tuple[Piece, ...]  #: cells of each parent "previous"
    start: int  #: the sample of what they decode to that lies under the first one
    num_samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioDecodeRecipe(Shared):
    """The sound of a take: samples [start, start + num_samples) of what its cells decode to.

    It may be a sample longer than what is heard, so that it is the same wherever in a file the take begins.
    """

    weights: tuple[Weights, ...]
    pieces: tuple[Piece, ...]  #: cells of each parent "latent"
    start: int
    num_samples: int
    patch: Patch | None = later(None, since=2)
    crossfade: Crossfade | None = later(None, since=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipDecodeRecipe:
    """Frames [start, stop) of the parent "file", encoded as a chunk like any window."""

    footage: Footage
    start: int
    stop: int
    encode: EncodeSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSoundRecipe:
    """Samples [start, start + num_samples) of the parent "file", resampled; silence where it has none."""

    sample_rate_hz: int
    num_samples: int
    track: int | None = later(None, since=2)  #: counted from 0; None = the one that players play
    reader: int = READER
    shifts: tuple[Fraction, ...] = later((), since=2)  #: see ``media.clock``
    start: int = later(0, since=2)  #: the first sample that is taken


@dataclass(frozen=True, slots=True, kw_only=True)
class StitchRecipe:
    """Chunks and sound to one file, by packet copy."""

    num_frames: int
    sound_samples: tuple[int, ...]  #: of each sound the first so many: together as long as the picture
    frame_rate: Fraction
    container: str  #: a row of spec.codecs, as is its sound
    audio_codec: str
    audio_bit_rate: int | None  #: None = the codec has none
    provenance: str | None  #: canonical JSON put into the file's comment tag; None = nothing is written


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectRecipe:
    """How a finished video goes across its seams; parents "chunk" and "sound" as of its stitch."""

    frame_rate: Fraction
    chunk_frames: tuple[int, ...]  #: frames of each chunk
    sound_samples: tuple[int, ...]  #: as in StitchRecipe
    seams: tuple[int, ...]  #: the first frame after each seam, counted in the file
    cuts: tuple[int, ...]  #: the first frame after each cut: nothing is expected to go on there
    connectors: tuple[int, ...]  #: for each parent "connector" the number of its seam


Recipe = (
    IngestRecipe
    | TextEncodeRecipe
    | ConditionRecipe
    | StillRecipe
    | TrackRecipe
    | FilmRecipe
    | GenerateRecipe
    | UpscaleRecipe
    | RefineRecipe
    | ConnectRecipe
    | DecodeRecipe
    | ClipDecodeRecipe
    | AudioDecodeRecipe
    | ClipSoundRecipe
    | StitchRecipe
    | InspectRecipe
)
