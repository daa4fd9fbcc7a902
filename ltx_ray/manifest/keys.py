"""Every key a video can have, and how a mapping of them is read into a ``Layer``.

Keys are dotted here: ``output: {crf: 20}`` and ``output.crf: 20`` are the same key ``output.crf``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ltx_ray.manifest import fields
from ltx_ray.manifest.fields import Rule, Wrong
from ltx_ray.manifest.problems import BAD, Layer, Problems, nearest, shown
from ltx_ray.manifest.rates import MAX_RATE, MAX_SECONDS, broadcast_meaning, frame_rate, seconds
from ltx_ray.spec.seeds import MAX_SEED

CODECS = ("h264", "h265", "ffv1")
SAMPLERS = ("euler", "euler_ancestral", "dpmpp_2m", "res_2s")
ENCODER_PRESETS = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
)
MAX_SIZE_PX = 8192
MAX_SCENES = 1000
MAX_FRAMES = MAX_SECONDS * MAX_RATE

_num_frames = fields.whole(1, MAX_FRAMES)
_size = fields.whole(1, MAX_SIZE_PX, "a whole number of pixels")
_seed = fields.whole(0, MAX_SEED)
_sampler = fields.one_of("a sampler", SAMPLERS)

VIDEO_RULES: dict[str, Rule] = {
    "id": fields.video_id,
    "prompt": fields.prompt,
    "seconds": seconds,
    "num_frames": _num_frames,
    "model": fields.text("a model"),
    "preset": fields.text("a preset"),
    "width": _size,
    "height": _size,
    "frame_rate": frame_rate,
    "seed": _seed,
    "segment.frames": fields.or_null(_num_frames),
    "segment.connector": _num_frames,
    "segment.overshoot": fields.whole(0, MAX_FRAMES),
    "stage1.sampler": _sampler,
    "stage1.sigmas": fields.sigmas,
    "refine.sampler": _sampler,
    "refine.sigmas": fields.sigmas,
    "audio_from": fields.one_of("a source of sound", ("stage1", "stage2")),
    "decode.window": fields.or_null(fields.whole(2, MAX_FRAMES)),
    "output.path": fields.text("a path"),
    "output.codec": fields.one_of("a codec", CODECS),
    "output.crf": fields.whole(0, 51),
    "output.preset": fields.one_of("an encoder preset", ENCODER_PRESETS),
    "output.crop": fields.crop,
    "output.audio_bit_rate": fields.whole(32_000, 512_000, "a number of bits a second"),
    "output.provenance": fields.true_or_false,
}
SCENE_RULES: dict[str, Rule] = {
    "prompt": fields.prompt,
    "seconds": seconds,
    "num_frames": _num_frames,
    "cut": fields.true_or_false,
    "seed": _seed,
}
GROUPS = ("segment", "stage1", "refine", "decode", "output")

#: Keys whose value is taken as written, ``$`` and all.
LITERAL_KEYS = frozenset({"id", "prompt"})

#: ``scenes.0.prompt`` or ``scenes[0].prompt``: one key of one scene, for tables and the command line.
SCENE_KEY = re.compile(r"scenes[.\[]([0-9]{1,4})\]?\.([a-z0-9_]+)")


class Keys(NamedTuple):
    """What a mapping may hold."""

    rules: Mapping[str, Rule]
    groups: tuple[str, ...] = ()
    has_scenes: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The keys as a person nests them."""
        return (*dict.fromkeys(key.split(".")[0] for key in self.rules), *(["scenes"] if self.has_scenes else []))

    def in_group(self, group: str) -> tuple[str, ...]:
        return tuple(key for key in self.rules if key.startswith(f"{group}."))


VIDEO_KEYS = Keys(VIDEO_RULES, GROUPS, has_scenes=True)
DEFAULT_KEYS = VIDEO_KEYS._replace(rules={key: rule for key, rule in VIDEO_RULES.items() if key != "id"})
SCENE_KEYS = Keys(SCENE_RULES)
#: What ``model`` and ``output`` beside ``videos`` may say.
TOP_KEYS = Keys({key: rule for key, rule in VIDEO_RULES.items() if key.startswith(("model", "output."))}, ("output",))


def read_layer(raw: Mapping[str, object], layer: Layer, problems: Problems, keys: Keys = VIDEO_KEYS) -> Layer:
    """Fill ``layer`` with the meanings of ``raw``; what breaks a rule is noted and stands as BAD."""
    values, rules = layer.values, keys.rules
    for key, value in raw.items():
        rule = rules.get(key)
        if value is BAD:
            values[key] = BAD
        elif rule is None:
            _read_other(key, value, layer, problems, keys)
        elif key in values:
            problems.add(layer, key, "is given twice, dotted and nested; keep one of them")
        else:
            try:
                values[key] = rule(value)
            except Wrong as wrong:
                values[key] = BAD
                problems.add(layer, key, str(wrong))
            if key == "frame_rate" and (meaning := broadcast_meaning(value)):
                problems.note(layer, key, meaning)
    if "seconds" in values and "num_frames" in values:
        problems.add(layer, "num_frames", "is given beside seconds; keep one of them")
    if values.get("refine", BAD) is None and ("refine.sampler" in values or "refine.sigmas" in values):
        problems.add(layer, "refine", "is null beside keys of refine; keep one of them")
    return layer


def _read_other(key: str, value: object, layer: Layer, problems: Problems, keys: Keys) -> None:
    """A key without a rule of its own: a group, scenes, one key of one scene, or a mistake."""
    scene_key = SCENE_KEY.fullmatch(key) if keys.has_scenes else None
    if key == "refine" and "refine" in keys.groups and (value is None or value is False):
        layer.values["refine"] = None
    elif key in keys.groups:
        _read_group(key, value, layer, problems, keys)
    elif key == "scenes" and keys.has_scenes:
        layer.values[key] = BAD  # keeps the place of the key while its parts are read
        layer.values[key] = _read_scenes(value, layer, problems)
    elif scene_key is not None:
        scene_idx, name = int(scene_key[1]), scene_key[2]
        scene = _read_scene(scene_idx, {name: value}, layer, problems)
        layer.values[f"scenes.{scene_idx}.{name}"] = scene[name]
    elif key == "id":
        problems.add(layer, key, "names one video, so it cannot be given to several; take it out")
    else:
        layer.values[key] = BAD
        problems.add(layer, key, f"is not a key here; {_nearest_key(key, keys)}")


def _nearest_key(key: str, keys: Keys) -> str:
    """``crf`` is most likely ``output.crf``; else the likeliest of the same group."""
    group, _, name = key.rpartition(".")
    if inner := [rule.partition(".")[2] for rule in keys.in_group(group)]:
        return nearest(name, inner)
    moved = [rule for rule in keys.rules if rule.endswith(f".{name}")]
    return nearest(name, moved[:1] or keys.names)


def _read_group(group: str, value: object, layer: Layer, problems: Problems, keys: Keys) -> None:
    if not isinstance(value, dict):
        layer.values[group] = BAD
        inner = ", ".join(key.split(".")[1] for key in keys.in_group(group))
        draft = ", or null for a draft" if group == "refine" else ""
        problems.add(layer, group, f"{shown(value)} is not a mapping with the keys {inner}{draft}")
        return
    read_layer({f"{group}.{key}": inner for key, inner in value.items()}, layer, problems, keys)


def _read_scenes(value: object, layer: Layer, problems: Problems) -> Any:
    """Tuple of scenes, each a dict of meanings by key, or BAD."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_SCENES:
        problems.add(layer, "scenes", f"{shown(value)} is not a list of 1 to {MAX_SCENES} scenes")
        return BAD
    return tuple(_read_scene(scene_idx, scene, layer, problems) for scene_idx, scene in enumerate(value))


def _read_scene(scene_idx: int, raw: object, layer: Layer, problems: Problems) -> Any:
    order = (*layer.order, layer.position("scenes"), scene_idx)
    scene = Layer(f"{layer.prefix}scenes[{scene_idx}].", order)
    if not isinstance(raw, dict):
        problems.add(scene, "", f"{shown(raw)} is not a mapping with prompt and seconds")
        return BAD
    return read_layer(raw, scene, problems, SCENE_KEYS).values
