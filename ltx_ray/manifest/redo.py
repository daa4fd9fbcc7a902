"""Segments that are made anew between their neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ltx_ray.manifest.film import film_key
from ltx_ray.manifest.merge import Merged
from ltx_ray.manifest.problems import BAD
from ltx_ray.manifest.schema import Redo


def read_redo(merged: Merged) -> tuple[Redo, ...]:
    """Those that the manifest names, in its order; what is wrong with one is reported and leaves it out."""
    values = merged.values
    entries = values.get("redo", ())
    if entries is BAD or not entries:
        return ()
    if (key := film_key(merged)) is not None:
        merged.report("redo", f"does not go with {key}; take one of them out")
    if values["refine.order"] == "alternate":
        merged.report(
            "redo", "does not go with refine: alternate, whose segments depend on both neighbours; take chain"
        )
    if values["chain"] == "final":
        merged.report("redo", "does not go with chain: final, where all later stage-1 segments follow; take stagewise")
    found = (_redo(merged, entry, f"redo[{idx}].") for idx, entry in enumerate(entries) if entry is not BAD)
    return tuple(each for each in found if each is not None)


def _redo(merged: Merged, entry: Mapping[str, Any], prefix: str) -> Redo | None:
    if BAD in entry.values():
        return None
    if ("at" in entry) == ("segment" in entry):
        which = "both a segment and a time" if "at" in entry else "neither a segment nor a time"
        merged.report(f"{prefix}segment", f"names {which}; write segment: 1 beside its scene, or at: 12.5")
        return None
    if "at" in entry and "scene" in entry:
        merged.report(f"{prefix}scene", "is given beside at, which finds the scene; keep one of them")
        return None
    if "seed" not in entry and "prompt" not in entry:
        merged.report(f"{prefix}seed", "is missing; without another seed or prompt the same segment would come again")
        return None
    return Redo(
        scene=entry.get("scene", 0),
        segment=entry.get("segment"),
        at=entry.get("at"),
        seed=entry.get("seed"),
        prompt=entry.get("prompt"),
    )
