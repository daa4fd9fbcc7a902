"""Turns the merged values of one video into a ``Video``, checking the rules that join several keys or need the model.

A value that was refused before (``BAD``) keeps every rule that needs it silent. Equal parts are shared between videos.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

from ltx_ray.errors import PlanError
from ltx_ray.manifest import paths
from ltx_ray.manifest.fields import Wrong
from ltx_ray.manifest.keys import MAX_SIZE_PX
from ltx_ray.manifest.problems import BAD
from ltx_ray.manifest.schema import Output, Sampling, Scene, Segment, Video
from ltx_ray.spec.grid import VideoGrid
from ltx_ray.spec.model import ModelFacts

#: Containers that can hold a codec, where not all can.
CONTAINERS_OF = {"ffv1": ("mkv",)}

Report = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Draft:
    """A video about to be built: merged ``values`` by dotted key; ``report(key, what)`` notes a problem."""

    id: str
    index: int  #: position among all videos, from 1
    seed: int  #: when none is given
    facts: ModelFacts
    preset: str
    values: dict[str, Any]
    report: Report
    is_set: Callable[[str], bool]  #: whether the manifest itself, not a preset, gives a key


def build(draft: Draft) -> Video:
    """The video, as far as its values allow; every problem is reported, none is raised."""
    values, report, facts = draft.values, draft.report, draft.facts
    for key in ("width", "height"):
        if values[key] is not BAD and (what := size_problem(facts, values[key])):
            report(key, what)
    refine = _refine(draft)
    return Video(
        id=draft.id,
        model=facts.name,
        preset=draft.preset,
        width=values["width"],
        height=values["height"],
        frame_rate=values["frame_rate"],
        scenes=_scenes(draft),
        segment=_segment(draft),
        stage1=_sampling(values["stage1.sampler"], values["stage1.sigmas"]),
        refine=refine,
        audio_from=_audio_from(draft, is_draft=refine is None),
        decode_window=values["decode.window"],
        output=_output(draft, is_draft=refine is None),
    )


@lru_cache(maxsize=1024)
def size_problem(facts: ModelFacts, size_px: int) -> str | None:
    """What is wrong with a width or height."""
    step, least = facts.video.size_multiple_px, facts.min_size_px
    if size_px < least:
        return f"{size_px} is less than {least}, the smallest {facts.name} renders"
    if size_px % step == 0:
        return None
    below = max(size_px // step * step, -(-least // step) * step)
    above = min(below + step, MAX_SIZE_PX // step * step)
    nearest = f"nearest are {below} and {above}" if below < size_px < above else f"nearest is {above}"
    return f"{size_px} is not a multiple of {step}; {nearest}"


@lru_cache(maxsize=1024)
def num_frames_problem(grid: VideoGrid, num_frames: int) -> str | None:
    """What is wrong with a frame count, in the words of the grid."""
    try:
        grid.check_num_frames(num_frames, where="")
    except PlanError as error:
        return str(error).removeprefix(": ")
    return None


@lru_cache(maxsize=1024)
def seconds_problem(seconds: Fraction, frame_rate: Fraction) -> str | None:
    """What is wrong with a duration at a rate."""
    if seconds * frame_rate >= 1:
        return None
    return f"{float(seconds):g} is less than one frame; at this rate a frame takes {float(1 / frame_rate):.3g} seconds"


@lru_cache(maxsize=256)
def _sampling(sampler: str, sigmas: tuple[float, ...]) -> Sampling:
    return Sampling(sampler=sampler, sigmas=sigmas)


def _refine(draft: Draft) -> Sampling | None:
    values = draft.values
    if "refine" in values and values["refine"] is None:
        return None
    if "refine.sigmas" not in values:
        if "refine" not in values:
            draft.report(
                "refine.sigmas", f"is missing; the preset {draft.preset} is a draft and has none to start from"
            )
        return None
    return _sampling(values.get("refine.sampler", "euler"), values["refine.sigmas"])


def _audio_from(draft: Draft, *, is_draft: bool) -> str:
    source: str = draft.values["audio_from"]
    if not is_draft or source != "stage2":
        return source
    if draft.is_set("audio_from"):
        draft.report("audio_from", "stage2 does not run in a draft; take stage1")
    return "stage1"


def _scenes(draft: Draft) -> tuple[Scene, ...]:
    values, seed = draft.values, draft.values.get("seed", draft.seed)
    if values.get("scenes") is BAD:
        return ()
    if "scenes" not in values:
        return (_scene(draft, values, "", seed=seed, cut=False),)
    parts: Sequence[Any] = values["scenes"]
    scenes = []
    for scene_idx, part in enumerate(parts):
        if part is BAD:
            continue
        merged = {**_inherited(values, part), **part}
        cut = bool(merged.get("cut", False))
        scenes.append(_scene(draft, merged, f"scenes[{scene_idx}].", seed=part.get("seed", seed), cut=cut))
    return tuple(scenes)


def _inherited(values: dict[str, Any], scene: dict[str, Any]) -> dict[str, Any]:
    """What a scene that does not say takes from its video: prompt and length."""
    has_length = "seconds" in scene or "num_frames" in scene
    keys = ("prompt",) if has_length else ("prompt", "seconds", "num_frames")
    return {key: values[key] for key in keys if key in values}


def _scene(draft: Draft, values: dict[str, Any], prefix: str, *, seed: int, cut: bool) -> Scene:
    prompt, rate = values.get("prompt"), draft.values["frame_rate"]
    if prompt is None:
        remedy = "say what this scene shows" if prefix else "a video needs a prompt, or scenes that each have one"
        draft.report(f"{prefix}prompt", f"is missing; {remedy}")
    num_frames, seconds = values.get("num_frames"), values.get("seconds")
    what = None
    if num_frames is not None:
        what = None if num_frames is BAD else num_frames_problem(draft.facts.video, num_frames)
    elif seconds is not BAD and rate is not BAD:
        what = seconds_problem(seconds, rate)
    if what:
        draft.report(f"{prefix}{'seconds' if num_frames is None else 'num_frames'}", what)
    return Scene(prompt=prompt or "", seconds=seconds, num_frames=num_frames, seed=seed, cut=cut)


def _segment(draft: Draft) -> Segment:
    values, grid = draft.values, draft.facts.video
    frames, connector = values["segment.frames"], values["segment.connector"]
    overshoot = values["segment.overshoot"]
    segment = _shared_segment(frames, connector, overshoot)
    if BAD in (frames, connector, overshoot):
        return segment
    for key, what in _segment_problems(grid, segment):
        draft.report(f"segment.{key}", what)
    return segment


@lru_cache(maxsize=256)
def _shared_segment(frames: int | None, connector: int, overshoot: int) -> Segment:
    return Segment(frames=frames, connector=connector, overshoot=overshoot)


@lru_cache(maxsize=256)
def _segment_problems(grid: VideoGrid, segment: Segment) -> tuple[tuple[str, str], ...]:
    found = []
    step = grid.frames_per_latent
    if segment.frames is not None and (what := num_frames_problem(grid, segment.frames)):
        found.append(("frames", what))
    if what := num_frames_problem(grid, segment.connector):
        found.append(("connector", what))
    if segment.overshoot % step:
        below = segment.overshoot // step * step
        what = f"{segment.overshoot} is not a multiple of {step}; nearest are {below} and {below + step}"
        found.append(("overshoot", what))
    if not found and segment.frames is not None and segment.frames - segment.connector - segment.overshoot < step:
        what = (
            f"{segment.frames} leaves nothing new after connector {segment.connector} and overshoot {segment.overshoot}"
        )
        found.append(("frames", f"{what}; at least {segment.connector + segment.overshoot + step} are needed"))
    return tuple(found)


def _output(draft: Draft, *, is_draft: bool) -> Output:
    values = draft.values
    path = _path(draft)
    return Output(
        path=path,
        codec=values["output.codec"],
        crf=values["output.crf"],
        preset=values["output.preset"],
        crop=_crop(draft, is_draft=is_draft),
        audio_bit_rate=values["output.audio_bit_rate"],
        provenance=values["output.provenance"],
    )


def _path(draft: Draft) -> str:
    """The file's path; "" when there is none because a problem was reported."""
    values, template = draft.values, draft.values["output.path"]
    if template is BAD or (template == "{id}.mp4" and values.get("id") is BAD):
        return ""
    fields = {
        "id": draft.id,
        "index": f"{draft.index:05d}",
        "seed": values.get("seed", draft.seed),
        "preset": draft.preset,
    }
    fields |= {key: 0 if values[key] is BAD else values[key] for key in ("width", "height")}
    try:
        path = paths.filled(template, fields)
    except Wrong as wrong:
        draft.report("output.path", str(wrong))
        return ""
    codec = values["output.codec"]
    allowed = paths.CONTAINERS if codec is BAD else CONTAINERS_OF.get(codec, paths.CONTAINERS)
    if paths.container_of(path) not in allowed:
        draft.report("output.path", f"{path!r} cannot hold {codec}; end it in .{' or .'.join(allowed)}")
    return path


def _crop(draft: Draft, *, is_draft: bool) -> tuple[int, int] | None:
    """What is cut from the file's frames: in a draft, which is smaller, as much less."""
    crop, values = draft.values["output.crop"], draft.values
    if crop is None or BAD in (crop, values["width"], values["height"]):
        return None
    width, height = crop
    if width > values["width"] or height > values["height"]:
        frame = f"{values['width']}x{values['height']}"
        draft.report("output.crop", f"{width}x{height} is larger than the frame, {frame}; a crop fits inside it")
    if not is_draft:
        return width, height
    grid = draft.facts.video
    return max(2, grid.stage1_px(width) // 2 * 2), max(2, grid.stage1_px(height) // 2 * 2)
