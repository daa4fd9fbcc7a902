"""How one place's values win over another's.

A later place wins key by key. ``seconds`` and ``num_frames`` replace each other, ``sigmas`` and ``schedule`` or
``steps`` too; any key of ``refine`` or of a ``guidance`` takes back an earlier null; a list of scenes replaces earlier
scenes whole, and single keys of scenes are put into it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ltx_ray.manifest.keys import NULL_GROUPS, SCENE_KEY, VIDEO_RULES
from ltx_ray.manifest.problems import BAD, Layer, Problems
from ltx_ray.manifest.sampling_keys import DESCENTS, FIXED_SCHEDULES


def _taken_back(key: str) -> tuple[str, ...]:
    """What a weaker place said that does not stand beside ``key``.

    Sigmas beat a schedule by standing beside it, so that a later ``steps`` finds the schedule of the preset again; so
    does the length of an extension, so that a later null finds the plain one.
    """
    lengths = {"seconds": ("num_frames", "extend.seconds"), "num_frames": ("seconds", "extend.seconds")}
    group, _, name = key.partition(".")
    sigmas = (f"{group}.sigmas",) if name in ("steps", "schedule") else ()
    nulls = () if key == "refine.order" else (group for group in NULL_GROUPS if key.startswith(f"{group}."))
    return (*lengths.get(key, ()), *sigmas, *nulls)


_TAKEN_BACK = {key: others for key in (*VIDEO_RULES, *NULL_GROUPS) if (others := _taken_back(key))}


def lay_over(values: dict[str, Any], above: Mapping[str, Any]) -> None:
    """Let ``above`` win over ``values``, and over the keys that say the same in another way."""
    for key in above:
        for other in _TAKEN_BACK.get(key, ()):
            values.pop(other, None)
    for descent in DESCENTS:
        if above.get(f"{descent}.schedule") in FIXED_SCHEDULES:
            values.pop(f"{descent}.steps", None)
    if "scenes" in above:
        for key in [key for key in values if key.startswith("scenes.")]:
            del values[key]
    values.update(above)


def strongest(stack: Sequence[Layer], key: str) -> Layer | None:
    """The last layer of ``stack`` that gives ``key``."""
    for layer in reversed(stack):
        if key in layer.values:
            return layer
    return None


def origin(stack: Sequence[Layer], key: str) -> Layer | None:
    """The last layer that gives ``key``, or the scenes it belongs to."""
    dotted = key.replace("[", ".", 1).replace("]", "", 1)  # as a single key of a scene is kept
    return strongest(stack, key) or strongest(stack, dotted) or strongest(stack, key.partition("[")[0])


def has_scenes(layer: Layer) -> bool:
    return any(key.startswith("scenes") for key in layer.values)


def put_scenes_together(values: dict[str, Any], stack: Sequence[Layer], problems: Problems) -> None:
    """Move single keys of scenes in ``values`` into its ``scenes``; what scenes would silently beat is noted."""
    _refuse_beside_scenes(stack, problems)
    patches = {key: values.pop(key) for key in [*values] if SCENE_KEY.fullmatch(key)}
    if values.get("scenes") is BAD:
        return
    scenes = [part if part is BAD else dict(part) for part in values.get("scenes", ())]
    for key, value in patches.items():
        _, scene, name = key.split(".", 2)
        if int(scene) > len(scenes):
            what = f"there is no scene {scene}; the next one is {len(scenes)}"
            problems.add(strongest(stack, key) or stack[-1], key, what)
            continue
        if int(scene) == len(scenes):
            scenes.append({})
        if scenes[int(scene)] is not BAD:
            lay_over(scenes[int(scene)], {name: value})
    values["scenes"] = tuple(scenes)


def _refuse_beside_scenes(stack: Sequence[Layer], problems: Problems) -> None:
    """A length or prompt beside scenes is noted; in a place below them it serves the scenes that have none."""
    first = next(idx for idx, layer in enumerate(stack) if has_scenes(layer))
    for layer in stack[first:]:
        for key in ("prompt", "seconds", "num_frames", "extend.seconds"):
            if key in layer.values:
                name = key.removeprefix("extend.")
                problems.add(layer, key, f"the video has scenes; give it to one of them, as scenes.0.{name}")
