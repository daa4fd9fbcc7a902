"""Turns the merged values of one video into a ``Video``, checking the rules that join several keys or need the model.

A value that was refused before (``BAD``) keeps every rule that needs it silent. Equal parts are shared between videos.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ltx_ray.manifest import paths
from ltx_ray.manifest.fields import Wrong
from ltx_ray.manifest.merged import Merged
from ltx_ray.manifest.model_rules import num_frames_problem, seconds_problem, segment_problems, size_problem
from ltx_ray.manifest.problems import BAD
from ltx_ray.manifest.sampling import read_refine, read_stage1
from ltx_ray.manifest.schema import Output, Sampling, Scene, Segment, Video

#: Containers that can hold a codec, where not all can.
CONTAINERS_OF = {"ffv1": ("mkv",)}

UNUSED_NEGATIVE = "changes nothing, because no guidance is away from it; stage1.guidance.video.cfg above 1 is"


def build(merged: Merged) -> Video:
    """The video, as far as its values allow; every problem is reported, none is raised."""
    values, report, facts = merged.values, merged.report, merged.facts
    for key in ("width", "height"):
        if values[key] is not BAD and (what := size_problem(facts, values[key])):
            report(key, what)
    stage1, refine = read_stage1(merged), read_refine(merged)
    return Video(
        id=merged.id,
        model=facts.name,
        preset=merged.preset,
        width=values["width"],
        height=values["height"],
        frame_rate=values["frame_rate"],
        scenes=_scenes(merged, uses_negative=_uses_negative(stage1) or _uses_negative(refine)),
        segment=_segment(merged),
        stage1=stage1,
        refine=refine,
        audio_from=_audio_from(merged, is_draft=refine is None),
        decode_window=values["decode.window"],
        decode_tiling=values["decode.tiling"],
        output=_output(merged),
    )


def _uses_negative(sampling: Sampling | None) -> bool:
    return sampling is not None and sampling.guidance is not None and sampling.guidance.uses_negative


def _audio_from(merged: Merged, *, is_draft: bool) -> str:
    source: str = merged.values["audio_from"]
    if not is_draft or source != "stage2":
        return source
    if merged.is_set("audio_from"):
        merged.report("audio_from", "stage2 does not run in a draft; take stage1")
    return "stage1"


def _scenes(merged: Merged, *, uses_negative: bool) -> tuple[Scene, ...]:
    values = merged.values
    if values.get("scenes") is BAD:
        return ()
    if not uses_negative and merged.is_set("negative_prompt"):
        merged.note("negative_prompt", UNUSED_NEGATIVE)
    if "scenes" not in values:
        return (_scene(merged, values, "", uses_negative=uses_negative),)
    parts: Sequence[Any] = values["scenes"]
    scenes = []
    for scene_idx, part in enumerate(parts):
        if part is BAD:
            continue
        prefix = f"scenes[{scene_idx}]."
        if not uses_negative and "negative_prompt" in part:
            merged.note(f"{prefix}negative_prompt", UNUSED_NEGATIVE)
        scenes.append(_scene(merged, {**_inherited(values, part), **part}, prefix, uses_negative=uses_negative))
    return tuple(scenes)


def _inherited(values: dict[str, Any], scene: dict[str, Any]) -> dict[str, Any]:
    """What a scene that does not say takes from its video: prompts, seed and length."""
    has_length = "seconds" in scene or "num_frames" in scene
    keys = ("prompt", "negative_prompt", "seed", *(() if has_length else ("seconds", "num_frames")))
    return {key: values[key] for key in keys if key in values}


def _scene(merged: Merged, values: dict[str, Any], prefix: str, *, uses_negative: bool) -> Scene:
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
    return Scene(
        prompt=prompt or "",
        seconds=seconds,
        num_frames=num_frames,
        seed=values.get("seed", merged.seed),
        cut=bool(values.get("cut", False)),
        negative_prompt=values.get("negative_prompt", "") if uses_negative else "",
    )


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
        if not merged.is_set("output.crop"):
            merged.note("output.crop", f"the preset's {width}x{height} is left out, it does not fit in {frame}")
            return None
        merged.report("output.crop", f"{width}x{height} is larger than the frame, {frame}; a crop fits inside it")
    return width, height
