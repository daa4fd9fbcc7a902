"""Lays the places that give values over one another and builds every video from the result.

built-in <- preset <- ``model`` and ``output`` beside ``videos`` <- ``defaults`` <- video <- sweep <- command line.
A later place wins key by key. ``seconds`` and ``num_frames`` replace each other; so do ``refine: null`` and the keys of
``refine``, and ``scenes`` and single keys of scenes. What all videos share is merged once for each model and preset.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ltx_ray.errors import ManifestError
from ltx_ray.manifest import paths
from ltx_ray.manifest.build import Draft, build
from ltx_ray.manifest.fields import MAX_ID_CHARS
from ltx_ray.manifest.keys import SCENE_KEY, read_layer
from ltx_ray.manifest.overrides import Overrides
from ltx_ray.manifest.presets import BUILT_IN, PRESETS
from ltx_ray.manifest.problems import BAD, Layer, Problems, nearest, shown
from ltx_ray.manifest.schema import Video
from ltx_ray.manifest.sweep import NO_SWEEP, Combination
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.seeds import seed_of_id

MAX_VIDEOS = 1_000_000


@dataclass(frozen=True, slots=True)
class Shared:
    """What a file and the command line say of all videos; ``layers`` weakest first."""

    models: Mapping[str, ModelFacts]
    layers: tuple[Layer, ...]
    overrides: Overrides
    combinations: tuple[Combination, ...] = NO_SWEEP


class Resolver:
    """Makes videos out of entries, one by one, and watches what must be unique among them."""

    def __init__(self, shared: Shared, problems: Problems) -> None:
        self._shared = shared
        self._problems = problems
        self._bases: dict[tuple[str, str], dict[str, Any]] = {}
        self._places: dict[str, str] = {}  # id -> where it stands
        self._files: dict[str, str] = {}  # folded path -> id
        self._base_ids: set[str] = set()

    def videos(self, raw: object, where: str, order: tuple[int, ...], position: int) -> Iterator[Video]:
        """The videos of one entry: one for each combination of the sweep; ``position`` counts entries from 1."""
        if not isinstance(raw, dict):
            what = raw.problems[0].what if isinstance(raw, ManifestError) else f"{shown(raw)} is not a mapping of keys"
            self._problems.add(Layer(where, order), "", what)
            return
        entry_id = f"video-{position:05d}"
        given = raw.get("id", entry_id)
        label = f" '{given[:MAX_ID_CHARS]}'" if isinstance(given, str) and given.isprintable() else ""
        entry = read_layer(raw, Layer(f"{where}{label}.", order), self._problems)
        if (own := entry.values.get("id", BAD)) is not BAD:
            entry_id = own
        self._base_ids.add(entry_id)
        for combination in self._shared.combinations:
            video = self._video(entry, entry_id, combination)
            if video is not None:
                yield video

    def finish(self) -> None:
        """Note what can only be known after the last entry."""
        self._shared.overrides.check_ids([*self._base_ids, *self._places], self._problems)

    def _video(self, entry: Layer, entry_id: str, combination: Combination) -> Video | None:
        video_id = entry_id + combination.suffix
        above = [entry] if combination.layer is None else [entry, combination.layer]
        above += self._shared.overrides.layers(entry_id, video_id)
        found = self._model_and_preset([*self._shared.layers, *above])
        self._check_id(entry, video_id)
        if found is None:
            return None
        facts, preset = found
        values = dict(self._base(facts, preset))
        for layer in above:
            lay_over(values, layer.values)
        stack = [*self._shared.layers, *above]
        if "scenes" in values or any(key.startswith("scenes.") for key in values):
            values = self._with_scenes(values, stack)

        def report(key: str, what: str) -> None:
            self._problems.add(_origin(stack, key, entry), key, what)

        draft = Draft(
            id=video_id,
            index=len(self._places),
            seed=seed_of_id(entry_id),
            facts=facts,
            preset=preset,
            values=values,
            report=report,
            is_set=lambda key: any(key in layer.values for layer in stack),
        )
        video = build(draft)
        self._check_file(video, report)
        return video

    def _model_and_preset(self, stack: Sequence[Layer]) -> tuple[ModelFacts, str] | None:
        """The model's facts and the preset's name; None when either is unknown, which is noted."""
        models = self._shared.models
        layer, model = _last(stack, "model", BUILT_IN["model"])
        if model is BAD:
            return None
        if model not in models:
            self._problems.add(layer, "model", f"{shown(model)} is not a known model; {nearest(model, models)}")
            return None
        presets = PRESETS[models[model].family]
        layer, preset = _last(stack, "preset", next(iter(presets)))
        if preset is BAD:
            return None
        if preset not in presets:
            self._problems.add(
                layer, "preset", f"{shown(preset)} is not a preset of {model}; {nearest(preset, presets)}"
            )
            return None
        return models[model], preset

    def _base(self, facts: ModelFacts, preset: str) -> dict[str, Any]:
        key = (facts.name, preset)
        if key not in self._bases:
            values = dict(BUILT_IN)
            lay_over(values, PRESETS[facts.family][preset])
            for layer in self._shared.layers:
                lay_over(values, layer.values)
            self._bases[key] = values
        return self._bases[key]

    def _with_scenes(self, values: dict[str, Any], stack: Sequence[Layer]) -> dict[str, Any]:
        """``values`` with single keys of scenes put into ``scenes``; lengths given beside scenes are noted."""
        patches = {key: values.pop(key) for key in [*values] if key.startswith("scenes.")}
        if values.get("scenes") is BAD:
            return values
        scenes = [part if part is BAD else dict(part) for part in values.get("scenes", ())]
        for key, value in patches.items():
            match = SCENE_KEY.fullmatch(key)
            if match is None:
                continue
            scene_idx = int(match[1])
            if scene_idx > len(scenes):
                what = f"there is no scene {scene_idx}; the next one is {len(scenes)}"
                self._problems.add(_origin(stack, key, stack[-1]), key, what)
                continue
            if scene_idx == len(scenes):
                scenes.append({})
            if scenes[scene_idx] is not BAD:
                lay_over(scenes[scene_idx], {match[2]: value})
        self._refuse_beside_scenes(stack)
        return {**values, "scenes": tuple(scenes)}

    def _refuse_beside_scenes(self, stack: Sequence[Layer]) -> None:
        """A length or prompt that a scene would silently beat; in ``defaults`` it serves scenes without one."""
        has_scenes = [any(key.split(".")[0] == "scenes" for key in layer.values) for layer in stack]
        for layer in stack[has_scenes.index(True) :]:
            for key in ("prompt", "seconds", "num_frames"):
                if key in layer.values:
                    self._problems.add(layer, key, "the video has scenes; give it to a scene, as scenes.0." + key)

    def _check_id(self, entry: Layer, video_id: str) -> None:
        place = entry.prefix.partition(": ")[2].rstrip(".")
        if len(video_id) > MAX_ID_CHARS:
            what = f"{shown(video_id)} has {len(video_id)} characters after the sweep; at most {MAX_ID_CHARS}"
            self._problems.add(entry, "id", what)
        first = self._places.setdefault(video_id, place)
        if first != place:
            self._problems.add(entry, "id", f"{shown(video_id)} is also the id of {first}; ids are unique")
        elif len(self._places) == MAX_VIDEOS + 1:
            self._problems.add(entry, "", f"more than {MAX_VIDEOS:,} videos; split them into several runs")

    def _check_file(self, video: Video, report: Any) -> None:
        if not video.output.path:
            return
        first = self._files.setdefault(paths.folded(video.output.path), video.id)
        if first != video.id:
            both = f"{video.output.path!r} is the file of both {first!r} and {video.id!r}"
            report("output.path", f"{both}; put {{id}} into the path")


def lay_over(values: dict[str, Any], above: Mapping[str, Any]) -> None:
    """Let ``above`` win over ``values``, key by key, and over the keys that say the same in another way."""
    if "seconds" in above:
        values.pop("num_frames", None)
    elif "num_frames" in above:
        values.pop("seconds", None)
    if "refine" in above:
        values.pop("refine.sampler", None)
        values.pop("refine.sigmas", None)
    elif "refine.sampler" in above or "refine.sigmas" in above:
        values.pop("refine", None)
    if "scenes" in above:
        for key in [key for key in values if key.startswith("scenes.")]:
            del values[key]
    values.update(above)


def _last(stack: Sequence[Layer], key: str, default: str) -> tuple[Layer, Any]:
    """The strongest layer that gives ``key``, and its value."""
    for layer in reversed(stack):
        if key in layer.values:
            return layer, layer.values[key]
    return stack[-1], default


def _origin(stack: Sequence[Layer], key: str, entry: Layer) -> Layer:
    """The strongest layer that gives ``key``, or what it stands in; the entry when none does."""
    for name in (key, key.partition("[")[0]):
        for layer in reversed(stack):
            if name in layer.values:
                return layer
    return entry
