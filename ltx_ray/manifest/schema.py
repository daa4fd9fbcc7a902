"""What a manifest says once it is resolved: every default filled in, every number checked.

Loaders make these; the planner reads them. A ``Video`` is one output file. Seconds and rates are exact ``Fraction``s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, NamedTuple

from ltx_ray.manifest.keys import VIDEO
from ltx_ray.manifest.tables import Table
from ltx_ray.spec.canonical import Shared, later
from ltx_ray.spec.keep import Keep
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.recipe import Guidance
from ltx_ray.spec.sigmas import ShiftedByTokens
from ltx_ray.spec.source import Holds
from ltx_ray.spec.weights import LoraMode

#: The newest manifest version this program reads.
MANIFEST_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling(Shared):
    """How one stage samples."""

    sampler: str
    sigmas: tuple[float, ...] | ShiftedByTokens  #: descending, ends in 0.0
    guidance: Guidance | None = None  #: None = the model is asked once a step


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment(Shared):
    """How a scene is cut when one model call is not enough. ``frames`` None = the default rule."""

    frames: int | None
    connector: int  #: frames a segment shares with the one before it; the later scene's counts at a boundary
    overshoot: int  #: frames generated after a segment's end and thrown away
    strength: float = 1.0  #: how firmly the connector is held


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraUse(Shared):
    """A LoRA that is applied. ``name`` is that of models.yaml, or the path of its file as ``Extend.path``."""

    name: str
    is_path: bool
    strength: float
    stages: tuple[str, ...]  #: of "stage1", "refine"
    mode: LoraMode


#: A place in a video or a scene: a frame, a time in seconds, or one of its ends; "next" is the frame after the last.
Moment = int | Fraction | Literal["first", "last", "next"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Image(Shared):
    """A picture that the video shows at a frame."""

    path: str  #: as ``Extend.path``
    at: Moment  #: of the video, or of the scene that names it
    strength: float  #: 1 = it is held, or guides fully
    fit: Literal["cover", "pad"]
    background: tuple[int, int, int]  #: under what is transparent and around what is padded
    crf: int  #: it is coded as one frame of H.264 at this quality first; 0 = it is not


@dataclass(frozen=True, slots=True, kw_only=True)
class Audio(Shared):
    """A sound that lies over the whole video."""

    path: str  #: as ``Extend.path``
    start: Fraction  #: where in the file the video begins
    mode: Literal["drive", "lay"]  #: whether the model hears it
    pad: Literal["none", "silence"]  #: what follows where it is shorter than the video
    sound: int | None = None  #: track of the file, counted from 0; None = the one that players play


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A film whose picture is kept as it is, and gets a sound. It decides length and rate of the video."""

    path: str  #: as ``Extend.path``
    takes_size: bool  #: whether the size at which the model sees it is still to be taken from its shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A film that guides stage 1 frame by frame, by an IC-LoRA."""

    path: str  #: as ``Extend.path``
    kind: Literal["given", "canny"]
    strength: float
    downscale: int  #: times that the LoRA sees it smaller than the picture of stage 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """A film that stage 2 makes anew in detail, guided by itself. It decides length and rate of the video."""

    path: str  #: as ``Extend.path``
    downscale: int  #: times that the LoRA sees it smaller than the video
    takes_size: bool  #: as ``Picture.takes_size``


@dataclass(frozen=True, slots=True, kw_only=True)
class Redo:
    """A segment that is made anew between its neighbours: one of a scene, or the one that is shown ``at`` a time."""

    scene: int
    segment: int | None  #: of its scene, from 0
    at: Fraction | None  #: in seconds of the file
    seed: int | None  #: None = its scene's
    prompt: str | None  #: None = its scene's


#: Stretches of time in seconds, in order and apart; "all" = from the beginning to the end.
Ranges = tuple[tuple[Fraction, Fraction], ...] | Literal["all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retake:
    """A film of which stretches are made anew, of picture and sound apart. It decides size, rate and length."""

    path: str  #: as ``Extend.path``
    picture: Ranges
    sound: Ranges
    blend: int  #: frames at each end of a stretch that pass from the film to what is new


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A stretch with its own prompt; ``cut`` starts a new take. Exactly one of ``seconds``, ``num_frames`` is set."""

    prompt: str
    seconds: Fraction | None
    num_frames: int | None
    seed: int
    cut: bool
    segment: Segment
    stage1: Sampling
    refine: Sampling | None  #: None = draft: stage 1 is decoded at stage-1 size; the same for all scenes of a video
    negative_prompt: str = ""  #: read only where guidance is away from it
    loras: tuple[LoraUse, ...] = later((), since=2)  #: by name and stages, whatever order they were written in
    images: tuple[Image, ...] = later((), since=2)  #: that the scene names
    #: What it does with ``Video.audio``; None = as that says. "off": it has a sound of its own.
    audio: Literal["drive", "lay", "off"] | None = later(None, since=2)
    #: One frame more than is shown is made, and is what the next take begins with.
    reaches_next: bool = later(False, since=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extend:
    """A file that the video goes on from; its end is the connector of the first segment."""

    path: str  #: local, absolute or as seen from the working directory
    include_source: bool  #: the output is the file and what follows it; False = only what follows
    sound: int | None = later(None, since=2)  #: track of the file, counted from 0; None = the one that players play
    matrix: Literal["bt601", "bt709"] | None = later(
        None, since=2
    )  #: of its colours, whatever it says; None = as it says
    #: What is still to be taken from the file; () once it is (``manifest.taken``).
    takes: tuple[Literal["size", "frame_rate"], ...] = later((), since=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output(Shared):
    """The file a video becomes. ``path`` is relative, below the run's ``videos/``, template already filled in."""

    path: str
    codec: str
    crf: int | None  #: None = the codec has none
    preset: str | None  #: None = the codec has none
    crop: tuple[int, int] | None  #: (width, height) in pixels of the final size, cut from the centre; even
    audio_bit_rate: int | None  #: None = the codec of the sound has none
    provenance: bool
    to: str | None = later(None, since=2)  #: directory or URI that the finished file is sent to; None = it stays


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    id: str
    model: str
    preset: str
    width: int
    height: int
    frame_rate: Fraction
    scenes: tuple[Scene, ...]
    audio_from: str  #: "stage1" or "stage2"
    chain: str  #: what stage 1 goes on from: "stagewise", the stage-1 segment before, or "final", finished frames
    join: str  #: "latent" or "pixels": where the segments of a take are put together
    crossfade: int  #: frames blended at a seam, with join "pixels"
    refine_order: str  #: "chain" or "alternate": every other segment of stage 2 is free, those between join them
    extend: Extend | None
    decode_window: int | None  #: latents per decode window; None = the model's default
    decode_tiling: str  #: "stream" or "tiles"
    output: Output
    images: tuple[Image, ...] = later((), since=2)  #: that the video names, not one of its scenes
    audio: Audio | None = later(None, since=2)
    redo: tuple[Redo, ...] = later((), since=2)
    control: Control | None = later(None, since=2)
    detail: Detail | None = later(None, since=2)
    picture: Picture | None = later(None, since=2)
    retake: Retake | None = later(None, since=2)
    #: Sides whose length is still to be taken from the shape of an image; () once it is (``manifest.taken``).
    fits_image: tuple[Literal["width", "height"], ...] = later((), since=2)
    upsampler: str | None = later(None, since=2)  #: between the stages; None = the model's default
    priority: int = later(0, since=2)  #: videos of a higher one are rendered before those of a lower one
    stages: Literal["two", "one"] = later("two", since=2)  #: "one": stage 1 renders the final size

    @property
    def all_images(self) -> tuple[Image, ...]:
        """Those of the video and those of its scenes."""
        return (*self.images, *(image for scene in self.scenes for image in scene.images))

    def audio_use(self, scene_idx: int) -> Literal["drive", "lay", "off"]:
        """What a scene does with the sound that is given; "off" where there is none."""
        return "off" if self.audio is None else self.scenes[scene_idx].audio or self.audio.mode

    @property
    def is_draft(self) -> bool:
        """Whether stage 1 is all there is: at its own size, or with ``stages`` "one" at the final size."""
        return self.scenes[0].refine is None

    @property
    def is_single_pass(self) -> bool:
        return self.stages == "one"

    def seen_by(self, facts: ModelFacts) -> ModelFacts:
        """``facts`` of its model with the ratio of sizes between stages that this video has."""
        if self.is_single_pass:
            return facts.rendering(Fraction(1))
        return facts.with_upsampler(self.upsampler) if self.upsampler else facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """``notes`` are sentences the user should see once: values that mean something else than written."""

    source: str
    videos: tuple[Video, ...]
    notes: tuple[str, ...] = ()
    keep: Keep = "all"  #: what of a finished video stays in the store


class NamedFile(NamedTuple):
    key: str  #: its place, such as ``extend.path``
    path: str
    holds: Holds


def files_of(video: Video) -> Iterator[NamedFile]:
    """Every file of the user's that a video names.

    They are the keys that the tables mark as paths; here each stands under its key's own name.
    """
    return _files(video, VIDEO, "")


def lora_files_of(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Every file of a LoRA that a manifest names: the model of the video, and the path."""
    for video in manifest.videos:
        for scene in video.scenes:
            yield from ((video.model, use.name) for use in scene.loras if use.is_path)


def _files(part: Any, table: Table, prefix: str) -> Iterator[NamedFile]:
    for key, holds in table.paths.items():
        path = part
        for name in key.split("."):
            path = None if path is None else getattr(path, name)
        if path is not None:
            yield NamedFile(f"{prefix}{key}", path, holds)
    for name, rule in table.lists.items():
        if rule.table.has_paths:
            for idx, entry in enumerate(getattr(part, name)):
                yield from _files(entry, rule.table, f"{prefix}{name}[{idx}].")
