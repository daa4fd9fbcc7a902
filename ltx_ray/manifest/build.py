"""Turns the merged values of one video into a ``Video``, checking the rules that join several keys or need the model.

A value that was refused before (``BAD``) keeps every rule that needs it silent. Equal parts are shared between videos.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ltx_ray.manifest import paths
from ltx_ray.manifest.fields import Wrong
from ltx_ray.manifest.model_rules import num_frames_problem, seconds_problem, segment_problems, size_problem
from ltx_ray.manifest.problems import BAD
from ltx_ray.manifest.schema import Output, Sampling, Scene, Segment, Video
from ltx_ray.spec.model import ModelFacts

#: Containers that can hold a codec, where not all can.
CONTAINERS_OF = {"ffv1": ("mkv",)}

Report = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Merged:
    """What one video is to be, by dotted key; ``report(key, what)`` notes a problem."""

    id: str
    index: int  #: position among all videos, from 1
    seed: int  #: when none is given
    facts: ModelFacts
    preset: str
    values: dict[str, Any]
    report: Report
    is_set: Callable[[str], bool]  #: whether the manifest itself, not a preset, gives a key


def build(merged: Merged) -> Video:
    """The video, as far as its values allow; every problem is reported, none is raised."""
    values, report, facts = merged.values, merged.report, merged.facts
    for key in ("width", "height"):
        if values[key] is not BAD and (what := size_problem(facts, values[key])):
            report(key, what)
    refine = _refine(merged)
    return Video(
        id=merged.id,
        model=facts.name,
        preset=merged.preset,
        width=values["width"],
        height=values["height"],
        frame_rate=values["frame_rate"],
        scenes=_scenes(merged),
        segment=_segment(merged),
        stage1=_sampling(values["stage1.sampler"], values["stage1.sigmas"]),
        refine=refine,
        audio_from=_audio_from(merged, is_draft=refine is None),
        decode_window=values["decode.window"],
        output=_output(merged),
    )


@lru_cache(maxsize=256)
def _sampling(sampler: str, sigmas: tuple[float, ...]) -> Sampling:
    return Sampling(sampler=sampler, sigmas=sigmas)


def _refine(merged: Merged) -> Sampling | None:
    values = merged.values
    if "refine" in values and values["refine"] is None:
        return None
    if "refine.sigmas" not in values:
        if "refine" not in values:
            merged.report("refine.sigmas", "is missing; a draft has no noise levels, so write [0.725, 0.421875, 0.0]")
        return None
    return _sampling(values.get("refine.sampler", "euler"), values["refine.sigmas"])


def _audio_from(merged: Merged, *, is_draft: bool) -> str:
    source: str = merged.values["audio_from"]
    if not is_draft or source != "stage2":
        return source
    if merged.is_set("audio_from"):
        merged.report("audio_from", "stage2 does not run in a draft; take stage1")
    return "stage1"


def _scenes(merged: Merged) -> tuple[Scene, ...]:
    values, seed = merged.values, merged.values.get("seed", merged.seed)
    if values.get("scenes") is BAD:
        return ()
    if "scenes" not in values:
        return (_scene(merged, values, "", seed=seed, cut=False),)
    parts: Sequence[Any] = values["scenes"]
    scenes = []
    for scene_idx, part in enumerate(parts):
        if part is BAD:
            continue
        own = {**_inherited(values, part), **part}
        cut = bool(own.get("cut", False))
        scenes.append(_scene(merged, own, f"scenes[{scene_idx}].", seed=own.get("seed", seed), cut=cut))
    return tuple(scenes)


def _inherited(values: dict[str, Any], scene: dict[str, Any]) -> dict[str, Any]:
    """What a scene that does not say takes from its video: prompt and length."""
    has_length = "seconds" in scene or "num_frames" in scene
    keys = ("prompt",) if has_length else ("prompt", "seconds", "num_frames")
    return {key: values[key] for key in keys if key in values}


def _scene(merged: Merged, values: dict[str, Any], prefix: str, *, seed: int, cut: bool) -> Scene:
    prompt, rate = values.get("prompt"), merged.values["frame_rate"]
    if prompt is None:
        remedy = "say what this scene shows" if prefix else "a video needs a prompt, or scenes that each have one"
        merged.report(f"{prefix}prompt", f"is missing; {remedy}")
    num_frames, seconds = values.get("num_frames"), values.get("seconds")
    what = None
    if num_frames is not None:
        what = None if num_frames is BAD else num_frames_problem(merged.facts.video, num_frames)
    elif seconds is not BAD and rate is not BAD:
        what = seconds_problem(seconds, rate)
    if what:
        merged.report(f"{prefix}{'seconds' if num_frames is None else 'num_frames'}", what)
    return Scene(prompt=prompt or "", seconds=seconds, num_frames=num_frames, seed=seed, cut=cut)


def _segment(merged: Merged) -> Segment:
    values, grid = merged.values, merged.facts.video
    frames, connector = values["segment.frames"], values["segment.connector"]
    overshoot = values["segment.overshoot"]
    segment = _shared_segment(frames, connector, overshoot)
    if BAD in (frames, connector, overshoot):
        return segment
    for key, what in segment_problems(grid, segment):
        merged.report(f"segment.{key}", what)
    return segment


@lru_cache(maxsize=256)
def _shared_segment(frames: int | None, connector: int, overshoot: int) -> Segment:
    return Segment(frames=frames, connector=connector, overshoot=overshoot)


def _output(merged: Merged) -> Output:
    values = merged.values
    path = _path(merged)
    return Output(
        path=path,
        codec=values["output.codec"],
        crf=values["output.crf"],
        preset=values["output.preset"],
        crop=_crop(merged),
        audio_bit_rate=values["output.audio_bit_rate"],
        provenance=values["output.provenance"],
    )


def _path(merged: Merged) -> str:
    """The file's path; "" when there is none because a problem was reported."""
    values, template = merged.values, merged.values["output.path"]
    if template is BAD:
        return ""
    fields = {"id": merged.id, "index": f"{merged.index:05d}", "preset": merged.preset}
    fields |= {key: values.get(key, merged.seed) for key in ("seed", "width", "height")}
    try:
        path = paths.filled(template, fields)
    except Wrong as wrong:
        merged.report("output.path", str(wrong))
        return ""
    codec = values["output.codec"]
    allowed = paths.CONTAINERS if codec is BAD else CONTAINERS_OF.get(codec, paths.CONTAINERS)
    if paths.container_of(path) not in allowed:
        merged.report("output.path", f"{path!r} cannot hold {codec}; end it in .{' or .'.join(allowed)}")
    return path


def _crop(merged: Merged) -> tuple[int, int] | None:
    """What is cut from a frame of the final size."""
    crop, values = merged.values["output.crop"], merged.values
    if crop is None or BAD in (crop, values["width"], values["height"]):
        return None
    width, height = crop
    if width > values["width"] or height > values["height"]:
        frame = f"{values['width']}x{values['height']}"
        merged.report("output.crop", f"{width}x{height} is larger than the frame, {frame}; a crop fits inside it")
    return width, height
