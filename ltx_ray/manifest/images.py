"""The images that a video or a scene names, with what they do not say filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ltx_ray.manifest.merge import Merged
from ltx_ray.manifest.presets import PRESETS
from ltx_ray.manifest.problems import BAD
from ltx_ray.manifest.schema import Image


def read_images(merged: Merged, values: Mapping[str, Any], prefix: str) -> tuple[Image, ...]:
    """Those of ``values``, in their order; what is wrong with one is reported and leaves it out.

    Args:
        prefix: the place of ``values`` in the video, such as ``scenes[1].``.
    """
    if (alone := values.get("image")) is not None:
        entries: Any = ({"path": alone},) if alone is not BAD else BAD
    else:
        entries = values.get("images", ())
    if entries is BAD:
        return ()
    return tuple(
        image
        for idx, entry in enumerate(entries)
        if entry is not BAD and (image := _image(merged, entry, f"{prefix}images[{idx}].")) is not None
    )


def _image(merged: Merged, entry: Mapping[str, Any], prefix: str) -> Image | None:
    if "path" not in entry:
        merged.report(f"{prefix}path", "is missing; write the file of the image")
        return None
    if BAD in entry.values():
        return None
    if entry.get("strength") == 0.0:
        merged.note(f"{prefix}strength", "0 is as if the image were not given")
    return Image(
        path=entry["path"],
        at=entry.get("at", "first"),
        strength=entry.get("strength", 1.0),
        fit=entry.get("fit", "cover"),
        background=entry.get("background", (0, 0, 0)),
        crf=entry.get("crf", PRESETS[merged.facts.family][merged.preset].get("image_crf", 0)),
    )
