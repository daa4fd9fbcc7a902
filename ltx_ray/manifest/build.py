"""Turns the merged values of one video into a ``Video``, checking the rules that join several keys or need the model.

A value that was refused before (``BAD``) keeps every rule that needs it silent. Equal parts are shared between videos.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields as fields_of
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any, Literal

from ltx_ray.manifest import fields, paths
from ltx_ray.manifest.control import read_control, read_detail
from ltx_ray.manifest.fields import Wrong
from ltx_ray.manifest.film import film_key, of_film, read_picture, read_retake
from ltx_ray.manifest.images import read_images
from ltx_ray.manifest.keys import AUTO
from ltx_ray.manifest.loras import read_loras, with_loras
from ltx_ray.manifest.merge import Merged
from ltx_ray.manifest.model_rules import size_problem
from ltx_ray.manifest.presets import BUILT_IN, PRESETS
from ltx_ray.manifest.problems import BAD
from ltx_ray.manifest.redo import read_redo
from ltx_ray.manifest.sampling import in_single_pass, read_refine, read_stage1, with_upsampler
from ltx_ray.manifest.scenes import Ways, read_scenes
from ltx_ray.manifest.schema import Audio, Extend, Output, Scene, Video
from ltx_ray.manifest.seams import check_seams, check_segment, segment_of
from ltx_ray.manifest.storyboard import with_storyboard
from ltx_ray.spec.codecs import CODECS, CONTAINERS, SOUND_CODECS, Setting
from ltx_ray.spec.seeds import ANY_SEED


def build(merged: Merged) -> Video:
    """The video, as far as its values allow; every problem is reported, none is raised."""
    merged = with_storyboard(with_upsampler(in_single_pass(of_film(merged))))
    values, report, facts = merged.values, merged.report, merged.facts
    images = read_images(merged, values, "")
    fits_image: tuple[Literal["width", "height"], ...] = tuple(side for side in _SIDES if values[side] == AUTO)
    size_px = {side: _about(merged, side) if side in fits_image else values[side] for side in _SIDES}
    for key, px in size_px.items():
        if px is not BAD and (what := size_problem(facts, px)):
            report(key, what)
    loras = read_loras(merged, values, "")
    control, of_film_lora = read_control(merged, loras)
    detail, of_detail = read_detail(merged, loras)
    of_film_lora += of_detail
    ways = Ways(segment_of(values), read_stage1(merged), read_refine(merged), loras)
    is_draft, extend = ways.refine is None, _extend(merged)
    check_segment(merged, ways.segment)
    if values["stages"] == "two" and not is_draft and not facts.has_upscaler:
        remedy = "give it as upscaler in models.yaml, or set stages: one"
        report("stages", f"two needs a latent upscaler, and {facts.name} has none; {remedy}")
    scenes = read_scenes(merged, ways, is_extended=extend is not None)
    if of_film_lora:
        scenes = tuple(replace(scene, loras=with_loras(scene.loras, of_film_lora)) for scene in scenes)
    if fits_image and not images and not any(scene.images for scene in scenes) and not _names_images(values):
        report(fits_image[0], "auto takes the shape of an image, and the video has none; write a number of pixels")
    check_seams(merged, ways.segment, scenes, is_draft=is_draft, is_extended=extend is not None)
    return Video(
        id=merged.id,
        model=facts.name,
        preset=merged.preset,
        **size_px,
        frame_rate=values["frame_rate"],
        scenes=scenes,
        audio_from=_audio_from(merged, is_draft=is_draft),
        chain=values["chain"],
        join=values["join"],
        crossfade=values["crossfade"],
        priority=values["priority"],
        refine_order=values["refine.order"],
        extend=extend,
        decode_window=values["decode.window"],
        decode_tiling=values["decode.tiling"],
        output=_output(merged),
        images=images,
        fits_image=fits_image,
        audio=_audio(merged),
        redo=read_redo(merged),
        control=control,
        detail=detail,
        picture=read_picture(merged),
        retake=read_retake(merged),
        upsampler=None if values["stages"] == "one" else values["upsampler"],
        stages=values["stages"],
    )


def builder_like(video: Video) -> Callable[[Merged], Video]:
    """``build`` for values that differ from those of ``video`` in id, prompt and seed alone, but sooner."""
    new_scene = partial(Scene, **_fields(video.scenes[0], "prompt", "seed"))
    new_output = partial(Output, **_fields(video.output, "path"))
    new_video = partial(Video, **_fields(video, "id", "scenes", "output"))

    def build_like(merged: Merged) -> Video:
        values = merged.values
        scene = new_scene(prompt=values["prompt"], seed=values.get("seed", merged.seed))
        return new_video(id=merged.id, scenes=(scene,), output=new_output(path=_path(merged)))

    return build_like


def _fields(part: Any, *but: str) -> dict[str, Any]:
    return {field.name: getattr(part, field.name) for field in fields_of(part) if field.name not in but}


def _audio(merged: Merged) -> Audio | None:
    """The sound that is given; None = none, or a problem was reported."""
    values = merged.values
    if "audio" in values:
        return None
    keys = [key for key in values if key.startswith("audio.")]
    if "audio.path" not in values:
        if keys:
            merged.report("audio.path", f"is missing beside {keys[0]}; write the file of the sound")
        return None
    if "extend.path" in values and "extend" not in values:
        merged.report("audio.path", "does not go with extend, which continues from the sound of its file; take one")
    if BAD in [values[key] for key in keys]:
        return None
    return Audio(
        path=values["audio.path"],
        start=values.get("audio.start", Fraction(0)),
        mode=values.get("audio.mode", "drive"),
        pad=values.get("audio.pad", "none"),
        sound=values.get("audio.sound"),
    )


def _names_images(values: Mapping[str, Any]) -> bool:
    """Whether there are images, though they may have been refused."""
    return "images" in values or values.get("image") is not None


_SIDES: tuple[Literal["width"], Literal["height"]] = ("width", "height")


def _about(merged: Merged, side: str) -> int:
    """The length that a side has until the image is read."""
    px: int = PRESETS[merged.facts.family][merged.preset].get(side, BUILT_IN[side])
    return px


def _takes_size(merged: Merged) -> bool:
    """Whether the size is known only when a file is read."""
    values = merged.values
    is_extended = "extend.path" in values and "extend" not in values
    if film_key(merged) in ("retake", "detail") or (
        (picture := read_picture(merged)) is not None and picture.takes_size
    ):
        return True
    return AUTO in (values["width"], values["height"]) or (is_extended and "size" in _takes(merged))


def _audio_from(merged: Merged, *, is_draft: bool) -> str:
    source: str = merged.values["audio_from"]
    if not is_draft or source != "stage2":
        return source
    if merged.is_set("audio_from"):
        merged.report("audio_from", "stage2 does not run in a draft; take stage1")
    return "stage1"


def _extend(merged: Merged) -> Extend | None:
    """What the video goes on from; None = nothing, or a problem was reported."""
    values = merged.values
    if "extend" in values:
        return None
    if "extend.path" not in values:
        if given := next((f"extend.{key}" for key in _EXTEND if f"extend.{key}" in values), None):
            merged.report("extend.path", f"is missing beside {given}; write the file to go on from")
        return None
    path = values["extend.path"]
    return Extend(
        path="" if path is BAD else path,
        include_source=values.get("extend.include_source", True),
        sound=values.get("extend.sound"),
        matrix=values.get("extend.matrix"),
        takes=_takes(merged),
    )


def _takes(merged: Merged) -> tuple[Literal["size", "frame_rate"], ...]:
    """What neither the manifest nor the preset says, and the file does."""
    preset = PRESETS[merged.facts.family][merged.preset]

    def is_said(*keys: str) -> bool:
        return any(key in preset or merged.is_set(key) for key in keys)

    takes: list[Literal["size", "frame_rate"]] = [] if is_said("width", "height") else ["size"]
    return (*takes, *(() if is_said("frame_rate") else ("frame_rate",)))


#: What says how a video goes on from a file, beside which file.
_EXTEND = ("seconds", "include_source", "sound", "matrix")


def _output(merged: Merged) -> Output:
    values = merged.values
    path, codec = _path(merged), values["output.codec"]
    coding, container = CODECS.get(codec), CONTAINERS.get(paths.container_of(path))
    crf, presets = (coding.crf, coding.presets) if coding else (None, None)
    sound = container.sound if container else ""
    bit_rate = SOUND_CODECS[sound].bit_rate if sound else None
    return Output(
        path=path,
        codec=codec,
        crf=_setting(merged, "output.crf", codec, crf),
        preset=_setting(merged, "output.preset", codec, presets),
        crop=_crop(merged),
        audio_bit_rate=_setting(merged, "output.audio_bit_rate", sound, bit_rate),
        provenance=values["output.provenance"],
        to=None if (to := values.get("output.to")) is BAD else to,
    )


def _setting(merged: Merged, key: str, codec: str, setting: Setting[Any] | None) -> Any:
    """What the encoder is told; None where it has no such setting, whatever is written."""
    if setting is None:
        if merged.is_set(key):
            merged.note(key, f"{codec} has none; {merged.values[key]} is left out")
        return None
    value = merged.values.get(key, setting.default)
    if value is not BAD and value not in setting.choices:
        try:
            fields.setting(setting)(value)
        except Wrong as wrong:
            merged.report(key, f"{wrong} for {codec}")
    return value


def _path(merged: Merged) -> str:
    """The file's path; "" when there is none because a problem was reported."""
    values, template = merged.values, merged.values["output.path"]
    if template is BAD:
        return ""
    named = {
        "id": merged.id,
        "index": f"{merged.index:05d}",
        "preset": merged.preset,
        "seed": values.get("seed", merged.seed),
        "width": values["width"],
        "height": values["height"],
    }
    if _takes_size(merged) and (used := next((name for name in ("{width}", "{height}") if name in template), None)):
        merged.report(
            "output.path", f"{used} is not known before the file is read; give width and height, or take {{id}}"
        )
        return ""
    if named["seed"] == ANY_SEED and "{seed}" in template:
        merged.report("output.path", "{seed} is not known yet where the seed is -1; take {id} or {index}")
        return ""
    try:
        path = paths.filled(template, named)
    except Wrong as wrong:
        merged.report("output.path", str(wrong))
        return ""
    if paths.is_odd_elsewhere(path):
        merged.note("output.path", "Windows and exFAT disks cannot hold a file of this name")
    codec = values["output.codec"]
    allowed = CONTAINERS if codec is BAD else CODECS[codec].containers
    if paths.container_of(path) not in allowed:
        merged.report("output.path", f"{path!r} cannot hold {codec}; end it in .{' or .'.join(allowed)}")
    return path


def _crop(merged: Merged) -> tuple[int, int] | None:
    """What is cut from a frame of the final size."""
    crop, values = merged.values["output.crop"], merged.values
    if crop is None or BAD in (crop, values["width"], values["height"]):
        return None
    width, height = crop
    if _takes_size(merged):
        return width, height  # looked at when the size is known
    if width > values["width"] or height > values["height"]:
        frame = f"{values['width']}x{values['height']}"
        if not merged.is_set("output.crop"):
            merged.note("output.crop", f"the preset's {width}x{height} is left out, it does not fit in {frame}")
            return None
        merged.report("output.crop", f"{width}x{height} is larger than the frame, {frame}; a crop fits inside it")
    return width, height
