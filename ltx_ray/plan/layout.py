"""What videos have in common that differ in words, seeds and names alone: their geometry, and the recipes it decides.

A manifest of many thousand videos has a few such kinds, so a layout is worked out once for each. It is made of a video
whose words are taken out, so that nothing in it can depend on them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Any

from ltx_ray.manifest.schema import Extend, Output, Scene, Video
from ltx_ray.plan.notes import Note
from ltx_ray.plan.segments import Take, cut_takes
from ltx_ray.plan.windows import Window, windows
from ltx_ray.spec.codecs import CODECS
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.piece import Piece
from ltx_ray.spec.recipe import AudioDecodeRecipe, DecodeRecipe, EncodeSettings

#: Coded frames between key frames: two seconds seek well, and every decode window starts one anyway.
GOP_S = 2
#: What the digest of an entry holds for settings that its codecs do not have. Another value would change files.
UNUSED: Mapping[str, Any] = {"crf": 18, "preset": "medium", "audio_bit_rate": 192_000}
#: Layouts that are kept while a plan is made.
MAX_KINDS = 256


@dataclass(frozen=True, slots=True)
class TakeLayout:
    """A take, and how it becomes coded chunks and sound."""

    take: Take
    windows: tuple[Window, ...]
    pictures: tuple[DecodeRecipe, ...]  #: one for each window
    sound: AudioDecodeRecipe


@dataclass(frozen=True, slots=True)
class Layout:
    takes: tuple[TakeLayout, ...]
    notes: tuple[Note, ...]  #: of what was moved
    encode: EncodeSettings
    output: Output  #: as the digest of an entry holds it: without its places, and with what its codecs do not have


class Layouts:
    """The layouts of a plan's videos; each is worked out once for all of a kind, as long as there are not too many."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Layout] = {}

    def of(self, video: Video, facts: ModelFacts) -> Layout:
        """The layout of a video of this model.

        Raises:
            PlanError: as of ``cut_takes``.
        """
        extend = video.extend and _of_extend(video.extend)
        kind = (
            *_of_video(video),
            video.picture is not None,
            extend,
            _of_output(video.output),
            *map(_of_scene, video.scenes),
        )
        if (layout := self._known.get(kind)) is None:
            if len(self._known) == MAX_KINDS:
                self._known.clear()
            layout = self._known[kind] = _layout(_without_words(video), facts)
        return layout


def decoded_size(video: Video, facts: ModelFacts) -> tuple[int, int]:
    """Width and height of what is decoded, before any crop."""
    if video.is_draft:
        return facts.video.stage1_px(video.width), facts.video.stage1_px(video.height)
    return video.width, video.height


def _without_words(video: Video) -> Video:
    return replace(
        video,
        id="",
        scenes=tuple(
            replace(scene, prompt="", negative_prompt="", seed=0, images=(), audio=None) for scene in video.scenes
        ),
        images=(),
        audio=None,
        picture=video.picture and replace(video.picture, path=""),
        retake=None,
        control=None,
        detail=None,
        redo=(),
        priority=0,
        extend=video.extend and replace(video.extend, path=""),
        output=replace(video.output, path="", to=None),
    )


def _scene_without_words(scene: Scene) -> Scene:
    return replace(scene, prompt="", negative_prompt="", seed=0, images=(), audio=None)


def _fields_but(cls: type, *names: str) -> Callable[[object], Any]:
    return attrgetter(*(each.name for each in fields(cls) if each.name not in names))


#: What tells kinds apart: all but words.
_of_video = _fields_but(
    Video,
    "id",
    "scenes",
    "extend",
    "output",
    "images",
    "audio",
    "picture",
    "retake",
    "control",
    "detail",
    "redo",
    "priority",
)
_of_scene = _fields_but(Scene, "prompt", "negative_prompt", "seed", "images", "audio")
_of_extend = _fields_but(Extend, "path")
_of_output = _fields_but(Output, "path", "to")


def _layout(kind: Video, facts: ModelFacts) -> Layout:
    takes, notes = cut_takes(kind, facts)
    encode = _encode_settings(kind, facts)
    unused = {name: value for name, value in UNUSED.items() if getattr(kind.output, name) is None}
    return Layout(
        takes=tuple(_take_layout(kind, take, encode, facts) for take in takes),
        notes=tuple(notes),
        encode=encode,
        output=replace(kind.output, **unused),
    )


def _take_layout(kind: Video, take: Take, encode: EncodeSettings, facts: ModelFacts) -> TakeLayout:
    shown = tuple(windows(kind, take, facts))
    pictures = tuple(
        DecodeRecipe(
            weights=facts.weights_for("decode"),
            pieces=window.pieces,
            start=window.start,
            stop=window.stop,
            fade=window.fade,
            tiling=kind.decode_tiling,
            frame_rate=kind.frame_rate,
            encode=encode,
        )
        for window in shown
    )
    sound = AudioDecodeRecipe(
        weights=facts.weights_for("audio_decode"),
        pieces=tuple(
            Piece(segment.own_cells.start - segment.cells.start if segment_idx else 0, own_stop)
            for segment_idx, segment in enumerate(take.segments)
            for own_stop in [segment.own_cells.stop - segment.cells.start]
        ),
        start=facts.audio.num_samples(take.lead / kind.frame_rate),
        num_samples=math.ceil(take.num_frames / kind.frame_rate * facts.audio.sample_rate_hz),
    )
    return TakeLayout(take, shown, pictures, sound)


def _encode_settings(kind: Video, facts: ModelFacts) -> EncodeSettings:
    return EncodeSettings(
        codec=kind.output.codec,
        crf=kind.output.crf,
        preset=kind.output.preset,
        gop_frames=round(GOP_S * kind.frame_rate),
        threads=CODECS[kind.output.codec].threads,
        crop_px=_crop(kind, facts),
    )


def _crop(kind: Video, facts: ModelFacts) -> tuple[int, int] | None:
    """The crop in pixels of the decoded size: a draft's is smaller by the upscale ratio, kept even for 4:2:0."""
    crop = kind.output.crop
    if crop is None or not kind.is_draft:
        return crop
    width, height = (facts.video.stage1_px(side) // 2 * 2 for side in crop)
    return width, height
