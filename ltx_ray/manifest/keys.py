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
from ltx_ray.manifest.sampling_keys import DESCENTS, sampling_groups, sampling_rules
from ltx_ray.spec.codecs import CODECS, SOUND_CODECS
from ltx_ray.spec.seeds import MAX_SEED

TILINGS = ("stream", "tiles")
REFINE_ORDERS = ("chain", "alternate")
MAX_SIZE_PX = 8192
MAX_SCENES = 1000
MAX_FRAMES = MAX_SECONDS * MAX_RATE

_num_frames = fields.whole(1, MAX_FRAMES)
_size = fields.whole(1, MAX_SIZE_PX, "a whole number of pixels")
_seed = fields.whole(0, MAX_SEED)

_SEGMENT_RULES: dict[str, Rule] = {
    "segment.frames": fields.or_null(_num_frames),
    "segment.connector": _num_frames,
    "segment.overshoot": fields.whole(0, MAX_FRAMES),
    "segment.strength": fields.number(0.0, 1.0, "a strength"),
}
VIDEO_RULES: dict[str, Rule] = {
    "id": fields.video_id,
    "prompt": fields.prompt,
    "negative_prompt": fields.negative_prompt,
    "seconds": seconds,
    "num_frames": _num_frames,
    "model": fields.text("a model"),
    "preset": fields.text("a preset"),
    "width": _size,
    "height": _size,
    "frame_rate": frame_rate,
    "seed": _seed,
    **_SEGMENT_RULES,
    **sampling_rules("stage1"),
    **sampling_rules("refine"),
    "refine.order": fields.one_of("an order", REFINE_ORDERS),
    "chain": fields.one_of("a chain", ("stagewise", "final")),
    "join": fields.one_of("a join", ("latent", "pixels")),
    "crossfade": fields.whole(0, MAX_FRAMES, "a whole number of frames"),
    "extend.path": fields.local_path,
    "extend.seconds": seconds,
    "extend.include_source": fields.true_or_false,
    "audio_from": fields.one_of("a source of sound", ("stage1", "stage2")),
    "decode.tiling": fields.one_of("a tiling", TILINGS),
    "decode.window": fields.or_null(fields.whole(2, MAX_FRAMES)),
    "output.path": fields.text("a path"),
    "output.codec": fields.one_of("a codec", tuple(CODECS)),
    "output.crf": fields.setting(*(codec.crf for codec in CODECS.values())),
    "output.preset": fields.setting(*(codec.presets for codec in CODECS.values())),
    "output.crop": fields.crop,
    "output.audio_bit_rate": fields.setting(*(codec.bit_rate for codec in SOUND_CODECS.values())),
    "output.provenance": fields.true_or_false,
}
SCENE_RULES: dict[str, Rule] = {
    "prompt": fields.prompt,
    "negative_prompt": fields.negative_prompt,
    "seconds": seconds,
    "num_frames": _num_frames,
    "cut": fields.true_or_false,
    "seed": _seed,
    "preset": fields.text("a preset"),
    **_SEGMENT_RULES,
    **sampling_rules("stage1"),
    **sampling_rules("refine"),
}
SCENE_GROUPS = ("segment", *sampling_groups("stage1"), *sampling_groups("refine"))
GROUPS = (*SCENE_GROUPS, "extend", "decode", "output")
#: Groups that can be null (or false), and what that means; any key of one takes back a null of a weaker place, but for
#: ``refine.order``, which says nothing of how stage 2 samples.
NULL_GROUPS = {"refine": "a draft", "extend": "none", **{f"{descent}.guidance": "none" for descent in DESCENTS}}

#: Two ways to say the same, which do not go together in one place.
SAME_TWICE = (
    ("seconds", "num_frames"),
    ("seconds", "extend.seconds"),
    ("num_frames", "extend.seconds"),
    *((f"{descent}.sigmas", f"{descent}.{name}") for descent in DESCENTS for name in ("schedule", "steps")),
)

#: Keys whose value is taken as written, ``$`` and all.
LITERAL_KEYS = frozenset({"id", "prompt", "negative_prompt", "extend.path"})

#: ``scenes.0.prompt`` or ``scenes[0].stage1.steps``: one key of one scene, for tables and the command line.
SCENE_KEY = re.compile(r"scenes[.\[]([0-9]{1,4})\]?\.([a-z0-9_.]+)")


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
        """The keys of a group, without its name."""
        return tuple(key.removeprefix(f"{group}.") for key in self.rules if key.startswith(f"{group}."))


VIDEO_KEYS = Keys(VIDEO_RULES, GROUPS, has_scenes=True)
DEFAULT_KEYS = VIDEO_KEYS._replace(rules={key: rule for key, rule in VIDEO_RULES.items() if key != "id"})
SCENE_KEYS = Keys(SCENE_RULES, SCENE_GROUPS)
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
    _check_together(layer, problems)
    return layer


def _check_together(layer: Layer, problems: Problems) -> None:
    """Note keys of one place that contradict each other."""
    values = layer.values
    for first, second in SAME_TWICE:
        if first in values and second in values:
            problems.add(layer, second, f"is given beside {first.rpartition('.')[2]}; keep one of them")
    for group in NULL_GROUPS:
        if values.get(group, BAD) is None and any(key.startswith(f"{group}.") for key in values):
            problems.add(layer, group, f"is null beside keys of {group}; keep one of them")


def _read_other(key: str, value: object, layer: Layer, problems: Problems, keys: Keys) -> None:
    """A key without a rule of its own: a group, scenes, one key of one scene, or a mistake."""
    scene_key = SCENE_KEY.fullmatch(key) if keys.has_scenes else None
    if keys is SCENE_KEYS and (what := _only_of_a_video(key, value)):
        layer.values[key] = BAD
        problems.add(layer, key, what)
    elif key == "refine" and value in REFINE_ORDERS:
        read_layer({"refine.order": value}, layer, problems, keys)
    elif key in NULL_GROUPS and key in keys.groups and (value is None or value is False):
        layer.values[key] = None
    elif key in keys.groups:
        _read_group(key, value, layer, problems, keys)
    elif key == "scenes" and keys.has_scenes:
        layer.values[key] = BAD  # keeps the place of the key while its parts are read
        layer.values[key] = _read_scenes(value, layer, problems)
    elif scene_key is not None:
        scene_idx, name = int(scene_key[1]), scene_key[2]
        scene = _read_scene(scene_idx, {name: value}, layer, problems)
        layer.values.update({f"scenes.{scene_idx}.{inner}": meaning for inner, meaning in scene.items()})
    elif key == "id":
        problems.add(layer, key, "names one video, so it cannot be given to several; take it out")
    else:
        layer.values[key] = BAD
        problems.add(layer, key, f"is not a key here; {_nearest_key(key, keys)}")


def _only_of_a_video(key: str, value: object) -> str | None:
    """Why a scene cannot say what a video can; None = it can, or neither can."""
    if key == "refine":
        is_null = value is None or value is False
        return "a scene alone cannot be a draft; set refine to null for the whole video" if is_null else None
    if key in VIDEO_RULES or (key in GROUPS and key not in SCENE_GROUPS):
        return "is a key of the whole video; put it beside scenes"
    return None


def _nearest_key(key: str, keys: Keys) -> str:
    """``crf`` is most likely ``output.crf``; else the likeliest of the same group."""
    group, _, name = key.rpartition(".")
    inner = keys.in_group(group)
    moved = [rule for rule in inner or keys.rules if rule.endswith(f".{name}")]
    return nearest(name, moved[:1] or _first_parts(inner) or keys.names)


def _first_parts(inner: tuple[str, ...]) -> tuple[str, ...]:
    """``guidance.video.cfg`` and ``guidance.stg_blocks`` stand under one name, ``guidance``."""
    return tuple(dict.fromkeys(key.split(".")[0] for key in inner))


def _read_group(group: str, value: object, layer: Layer, problems: Problems, keys: Keys) -> None:
    if not isinstance(value, dict):
        layer.values[group] = BAD
        inner = ", ".join(_first_parts(keys.in_group(group)))
        or_null = f", or null for {NULL_GROUPS[group]}" if group in NULL_GROUPS else ""
        or_null += f", or one of {', '.join(REFINE_ORDERS)}" if group == "refine" else ""
        problems.add(layer, group, f"{shown(value)} is not a mapping with the keys {inner}{or_null}")
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
