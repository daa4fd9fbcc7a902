"""A list of stills, each way from one to the next a scene and a take of its own, so that all are made at the same time.

A scene begins with its still, held, and is guided to the next one at the frame after its last, which is the first of
the next scene. So every still is shown once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ltx_ray.manifest.merge import Merged
from ltx_ray.manifest.problems import BAD
from ltx_ray.manifest.tables import Entries


def with_storyboard(merged: Merged) -> Merged:
    """``merged`` with a scene for each two neighbours of its storyboard, if it has one."""
    values = merged.values
    stills = values.get("storyboard")
    if stills is None or stills is BAD or BAD in stills:
        return merged
    for key in ("scenes", "image", "images", "extend.path"):
        if values.get(key) is not None:
            merged.report("storyboard", f"does not go with {key.partition('.')[0]}; take one of them out")
            return merged
    if missing := next((idx for idx, still in enumerate(stills) if "path" not in still), None):
        merged.report(f"storyboard[{missing}].path", "is missing; write the file of the still")
        return merged
    if len(stills) < 2:
        merged.report("storyboard", "has one still, and goes from each to the next; write two at least, or image")
        return merged
    ways = [_way(values, stills, idx) for idx in range(len(stills) - 1)]
    return replace(merged, values={**values, "scenes": Entries(ways)})


def _way(values: dict[str, Any], stills: Entries, idx: int) -> dict[str, Any]:
    """The scene from a still to the next."""
    is_last = idx + 2 == len(stills)
    begin, end = stills[idx], stills[idx + 1]
    own: dict[str, Any] = {key: begin[key] for key in ("prompt", "seconds", "seed") if key in begin}
    shared: dict[str, Any] = {key: values[key] for key in ("prompt", "seconds", "num_frames") if key in values}
    if "seconds" in own:
        shared.pop("num_frames", None)
    images = ({"path": begin["path"], "at": "first"}, {"path": end["path"], "at": "last" if is_last else "next"})
    return {**shared, **own, "cut": idx > 0, "images": Entries(images)}
