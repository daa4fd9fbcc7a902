"""The scenes of a video: what each says itself, over what it takes from its video.

A scene's preset stands in for all that the video says of ``stage1`` and ``refine``; the scene's own keys win over both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ltx_ray.manifest.images import read_images
from ltx_ray.manifest.loras import kind_problem, read_loras, with_preset_loras
from ltx_ray.manifest.merge import Merged, gives_list, lay_over
from ltx_ray.manifest.model_rules import num_frames_problem, seconds_problem
from ltx_ray.manifest.presets import PRESETS
from ltx_ray.manifest.problems import BAD, Layer, Problems, nearest, shown
from ltx_ray.manifest.sampling import is_of_stage_2, read_refine, read_stage1, without_refine
from ltx_ray.manifest.schema import LoraUse, Sampling, Scene, Segment
from ltx_ray.manifest.seams import check_scene, segment_of

UNUSED_NEGATIVE = "changes nothing, because no guidance is away from it; stage1.guidance.video.cfg above 1 is"

_SAMPLING = ("stage1", "refine")
#: Keys that say how long a stretch is, the strongest first, by whether the video goes on from a file.
_LENGTHS = {False: ("num_frames", "seconds"), True: ("extend.seconds", "num_frames", "seconds")}


class Ways(NamedTuple):
    """How a stretch is made, apart from what it shows."""

    segment: Segment
    stage1: Sampling
    refine: Sampling | None
    loras: tuple[LoraUse, ...]  #: that the manifest names

    @property
    def use_negative(self) -> bool:
        return _uses_negative(self.stage1) or (self.refine is not None and _uses_negative(self.refine))


def _uses_negative(sampling: Sampling) -> bool:
    return sampling.guidance is not None and sampling.guidance.uses_negative


def refuse_beside_scenes(stack: Sequence[Layer], problems: Problems) -> None:
    """A length or prompt beside scenes is noted; in a place below them it serves the scenes that have none."""
    first = next((idx for idx, layer in enumerate(stack) if gives_list(layer, ("scenes",))), len(stack))
    for layer in stack[first:]:
        for key in ("prompt", "seconds", "num_frames", "extend.seconds"):
            if key in layer.values:
                name = key.removeprefix("extend.")
                problems.add(layer, key, f"the video has scenes; give it to one of them, as scenes.0.{name}")


def read_scenes(merged: Merged, ways: Ways, *, is_extended: bool) -> tuple[Scene, ...]:
    """The scenes of a video; ``ways`` are those of a scene that says nothing of them. A video without is one scene."""
    parts = merged.values.get("scenes")
    if parts is BAD:
        return ()
    if parts is None:
        if not ways.use_negative and merged.is_set("negative_prompt"):
            merged.note("negative_prompt", UNUSED_NEGATIVE)
        ways = _with_preset(merged, merged.preset, "preset", ways)
        return (_scene(merged, merged.values, "", ways, is_extended=is_extended),)
    return tuple(_read_parts(merged, parts, ways, is_extended=is_extended))


def _read_parts(merged: Merged, parts: Sequence[Any], ways: Ways, *, is_extended: bool) -> list[Scene]:
    scenes, is_negative_used = [], False
    for scene_idx, part in enumerate(parts):
        if part is BAD:
            continue
        prefix = f"scenes[{scene_idx}]."
        has_preset = part.get("preset") in PRESETS[merged.facts.family]
        place = f"{prefix}preset" if has_preset else "preset"
        own = _own_ways(merged, part, prefix, ways)
        own = _with_preset(merged, part["preset"] if has_preset else merged.preset, place, own)
        is_negative_used |= own.use_negative
        if "negative_prompt" in part and not own.use_negative:
            merged.note(f"{prefix}negative_prompt", UNUSED_NEGATIVE)
        values = {**_inherited(merged.values, part, is_extended=is_extended), **part}
        scenes.append(_scene(merged, values, prefix, own, is_extended=is_extended))
    if not is_negative_used and merged.is_set("negative_prompt"):
        merged.note("negative_prompt", UNUSED_NEGATIVE)
    if is_extended and scenes and scenes[0].cut:
        what = "true begins anew, and extend goes on from a file; take one of them out"
        merged.report("scenes[0].cut", what)
    return scenes


def _inherited(values: Mapping[str, Any], scene: Mapping[str, Any], *, is_extended: bool) -> dict[str, Any]:
    """What a scene that does not say takes from its video: prompts, seed and length."""
    has_length = "seconds" in scene or "num_frames" in scene
    keys = ("prompt", "negative_prompt", "seed", *(() if has_length else _LENGTHS[is_extended]))
    return {key: values[key] for key in keys if key in values}


def _scene(merged: Merged, values: Mapping[str, Any], prefix: str, ways: Ways, *, is_extended: bool) -> Scene:
    prompt, rate = values.get("prompt"), merged.values["frame_rate"]
    images = read_images(merged, values, prefix) if prefix else ()
    if prompt is None:
        remedy = "say what this scene shows" if prefix else "a video needs a prompt, or scenes that each have one"
        merged.report(f"{prefix}prompt", f"is missing; {remedy}")
    length = next(key for key in _LENGTHS[is_extended] if key in values)
    num_frames, seconds = (values[length], None) if length == "num_frames" else (None, values[length])
    if num_frames is None:
        what = None if seconds is BAD or rate is BAD else seconds_problem(seconds, rate)
    elif is_extended or prefix or num_frames is BAD:
        what = None  # a stretch among others ends where it is cut to
    else:
        what = num_frames_problem(merged.facts.video, num_frames)
    if what:
        merged.report(f"{prefix}{length}", what)
    return Scene(
        prompt=prompt or "",
        seconds=seconds,
        num_frames=num_frames,
        seed=values.get("seed", merged.seed),
        cut=bool(values.get("cut", False)),
        segment=ways.segment,
        stage1=ways.stage1,
        refine=ways.refine,
        loras=ways.loras,
        images=images,
        audio=_audio_use(merged, values, prefix) if prefix else None,
        reaches_next=any(image.at == "next" for image in images),
        negative_prompt=values.get("negative_prompt", "") if ways.use_negative else "",
    )


def _audio_use(merged: Merged, values: Mapping[str, Any], prefix: str) -> Any:
    """What a scene does with the sound of its video; None = as the video says."""
    use = values.get("audio")
    if use not in (None, BAD) and "audio.path" not in merged.values:
        merged.report(f"{prefix}audio", f"{use} is said of the video's sound, and audio.path names none")
    return None if use is BAD else use


def _own_ways(merged: Merged, part: Mapping[str, Any], prefix: str, ways: Ways) -> Ways:
    """How a scene is made: like its video, but for what it says itself."""
    segment, stage1, refine, loras = ways
    if any(key.startswith("segment.") for key in part):
        segment = segment_of({**merged.values, **part})
        check_scene(merged, segment, prefix, of_video=ways.segment)
    if "preset" in part or any(key.startswith(_SAMPLING) for key in part):
        stage1, refine = _own_sampling(merged, part, prefix, ways)
    if "loras" in part:
        loras = read_loras(merged, part, prefix)
    return Ways(segment, stage1, refine, loras)


def _with_preset(merged: Merged, preset: str, place: str, ways: Ways) -> Ways:
    """``ways`` with the LoRAs that its preset, which is given at ``place``, applies on this checkpoint."""
    if is_of_stage_2(merged):
        return ways  # the LoRA of details takes the place of the distilled one
    if what := kind_problem(merged.facts, preset, is_draft=ways.refine is None):
        merged.report(place, what)
    return ways._replace(loras=with_preset_loras(merged.facts, preset, ways.loras))


def _own_sampling(merged: Merged, part: Mapping[str, Any], prefix: str, ways: Ways) -> tuple[Sampling, Sampling | None]:
    of_video = ways.stage1, ways.refine
    values = _sampling_values(merged, part, prefix)
    if values is None or BAD in (merged.values.get("refine"), part.get("refine")):
        return of_video
    is_draft = ways.refine is None
    if is_draft != ("refine" in values):
        key = next((key for key in part if key.startswith("refine.")), "preset")
        other = "stage 2 does not run in a draft, which the video is" if is_draft else "draft leaves out stage 2"
        merged.report(f"{prefix}{key}", f"{other}; all scenes of a video are drafts or none is")
        return of_video
    known: set[tuple[str, str]] = set()
    _read(replace(merged, report=lambda key, what: known.add((key, what)), note=lambda key, what: None))

    def report(key: str, what: str) -> None:
        if (key, what) not in known:
            merged.report(f"{prefix}{key}", what)

    return _read(
        replace(
            merged,
            preset=part.get("preset", merged.preset),
            values=values,
            report=report,
            note=lambda key, what: merged.note(f"{prefix}{key}", what),
            is_set=lambda key: key in part or ("preset" not in part and merged.is_set(key)),
        )
    )


def _read(merged: Merged) -> tuple[Sampling, Sampling | None]:
    return read_stage1(merged), read_refine(merged)


def _sampling_values(merged: Merged, part: Mapping[str, Any], prefix: str) -> dict[str, Any] | None:
    """What a scene says of both stages, over its preset or its video; None when its preset is unknown."""
    weaker: Mapping[str, Any] = merged.values
    preset = part.get("preset")
    if preset is BAD:
        return None
    if preset is not None:
        presets = PRESETS[merged.facts.family]
        if preset not in presets:
            what = f"{shown(preset)} is not a preset of {merged.facts.name}; {nearest(preset, presets)}"
            merged.report(f"{prefix}preset", what)
            return None
        weaker = presets[preset]
        if merged.values["stages"] == "one":
            weaker = without_refine(weaker)
    values = {key: value for key, value in weaker.items() if key.startswith(_SAMPLING)}
    lay_over(values, {key: value for key, value in part.items() if key.startswith(_SAMPLING)})
    return values
