"""Which LoRAs a stretch is rendered with: those of the manifest, and the one that a preset needs on a dev checkpoint.

Distilled schedules are made for distilled weights. On a dev checkpoint a preset gets these by the distilled LoRA of the
model's entry in models.yaml, at the strengths of ``manifest.presets``. A manifest that names that LoRA itself decides
alone where it is applied. A scene's ``loras`` stand in for all those of its video.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ltx_ray.manifest.keys import DESCENTS
from ltx_ray.manifest.merge import Merged
from ltx_ray.manifest.presets import FOR_DEV, PRESETS
from ltx_ray.manifest.problems import BAD, nearest, shown
from ltx_ray.manifest.schema import LoraUse
from ltx_ray.spec.model import ModelFacts

#: What the distilled LoRA of a model is called in a manifest.
DISTILLED_LORA = "distilled_lora"


def read_loras(merged: Merged, values: Mapping[str, Any], prefix: str) -> tuple[LoraUse, ...]:
    """Those that the manifest names in ``values``; what is wrong with one is reported and leaves it out."""
    entries = values.get("loras", ())
    if entries is BAD or not entries:
        return ()
    facts = merged.facts
    if facts.loras is None:
        merged.report(f"{prefix}loras", f"{facts.name} takes no LoRAs; name a model of models.yaml")
        return ()
    uses = []
    for idx, entry in enumerate(entries):
        if entry is not BAD and (use := _use(merged, entry, f"{prefix}loras[{idx}].")) is not None:
            uses.append(use)
    for name, descent in _twice(uses):
        merged.report(f"{prefix}loras", f"{shown(name)} is applied twice in {descent}; name it once, or give stages")
    return tuple(uses)


def with_preset_loras(facts: ModelFacts, preset: str, own: tuple[LoraUse, ...]) -> tuple[LoraUse, ...]:
    """``own`` and what ``preset`` applies on this checkpoint, as the one form that a set of LoRAs has."""
    uses = (use for use in (*_of_preset(facts, preset, own), *own) if use.strength)
    return tuple(sorted(uses, key=lambda use: (use.name, use.stages)))


def with_loras(uses: Iterable[LoraUse], more: Iterable[LoraUse]) -> tuple[LoraUse, ...]:
    """Both, as the one form that a set of LoRAs has."""
    return tuple(sorted((*uses, *more), key=lambda use: (use.name, use.stages)))


def _of_preset(facts: ModelFacts, preset: str, own: Iterable[LoraUse]) -> tuple[LoraUse, ...]:
    if facts.loras is None or DISTILLED_LORA not in facts.loras or not _needs_lora(facts, preset):
        return ()
    if any(use.name == DISTILLED_LORA for use in own):
        return ()
    strengths = {descent: _strength(facts, preset, descent) for descent in DESCENTS}
    if strengths["stage1"] == strengths["refine"]:
        return (_distilled(strengths["stage1"], DESCENTS),)
    return tuple(_distilled(strength, (descent,)) for descent, strength in strengths.items() if strength)


def kind_problem(facts: ModelFacts, preset: str, *, is_draft: bool) -> str | None:
    """What is wrong with a preset on a checkpoint of this kind, for want of the LoRA that brings the two together."""
    if facts.kind == "distilled" and preset in FOR_DEV:
        return f"{preset} is for a dev checkpoint, and {facts.name} is a distilled one; take distilled"
    if facts.kind != "dev" or (facts.loras is not None and DISTILLED_LORA in facts.loras):
        return None
    needed = [descent for descent in DESCENTS if _strength(facts, preset, descent)]
    if is_draft and "refine" in needed:
        needed.remove("refine")
    if not needed:
        return None
    stages = " and ".join(needed)
    alone = "" if needed != ["refine"] else ", or set `refine: null`"
    return (
        f"{preset} on a dev checkpoint needs the distilled LoRA in {stages}, and {facts.name} has none; give its file "
        f"as {DISTILLED_LORA} in models.yaml{alone}"
    )


def _use(merged: Merged, entry: Mapping[str, Any], prefix: str) -> LoraUse | None:
    name, path = entry.get("name"), entry.get("path")
    if BAD in entry.values():
        return None
    if (name is None) == (path is None):
        which = "has neither a name nor a path" if name is None else "has both a name and a path"
        merged.report(f"{prefix}name", f"{which}; give one of them")
        return None
    known = merged.facts.loras or {}
    if name is not None and name not in known:
        what = f"{shown(name)} is not a LoRA of {merged.facts.name}"
        there = nearest(name, known) if known else "models.yaml names none for it; give its path"
        merged.report(f"{prefix}name", f"{what}; {there}")
        return None
    return LoraUse(
        name=str(path if name is None else name),
        is_path=name is None,
        strength=entry.get("strength", 1.0),
        stages=tuple(descent for descent in DESCENTS if descent in entry.get("stages", DESCENTS)),
        mode=entry.get("mode", "adapter" if name is None else known[name].mode),
    )


def _twice(uses: Iterable[LoraUse]) -> Iterator[tuple[str, str]]:
    seen: set[tuple[str, str]] = set()
    for use in uses:
        for descent in use.stages:
            if (use.name, descent) in seen:
                yield use.name, descent
            seen.add((use.name, descent))


def _needs_lora(facts: ModelFacts, preset: str) -> bool:
    """A checkpoint of unknown kind is what its preset is for."""
    return facts.kind == "dev" or (facts.kind is None and preset in FOR_DEV)


def _strength(facts: ModelFacts, preset: str, descent: str) -> float:
    strength: float | None = PRESETS[facts.family][preset].get(f"distilled_lora.{descent}")
    return strength or 0.0


def _distilled(strength: float, stages: tuple[str, ...]) -> LoraUse:
    return LoraUse(name=DISTILLED_LORA, is_path=False, strength=strength, stages=stages, mode="fold")
