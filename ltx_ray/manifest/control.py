"""Films that guide, as a control or for details, and the IC-LoRAs that read them.

One without the other, or two of them, make no sense.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from ltx_ray.manifest.film import film_key, is_size_said
from ltx_ray.manifest.merge import Merged
from ltx_ray.manifest.problems import BAD, nearest, shown
from ltx_ray.manifest.schema import Control, Detail, LoraUse


def read_control(merged: Merged, loras: Sequence[LoraUse]) -> tuple[Control | None, tuple[LoraUse, ...]]:
    """The control, and its LoRA as it is applied: in stage 1 alone.

    Args:
        loras: those that the manifest names beside it.
    """
    values = merged.values
    keys = [key for key in values if key.startswith("control.")]
    if "control" in values or not keys:
        _refuse_alone(merged, loras)
        return None, ()
    if "control.path" not in values:
        merged.report("control.path", f"is missing beside {keys[0]}; write the film that controls")
        return None, ()
    for other in ("extend.path", "picture.path", "retake.path"):
        if other in values and other.partition(".")[0] not in values:
            merged.report("control.path", f"does not go with {other.partition('.')[0]}; take one of them out")
    if values.get("control.kind") == "canny" and find_spec("cv2") is None:
        what = "canny needs OpenCV; install it by `pip install 'ltx-ray[control]'`, or give the edges as a film"
        merged.report("control.kind", what)
    use, downscale = _lora(merged, loras, "control", "stage1")
    if BAD in [values[key] for key in keys]:
        return None, ()
    control = Control(
        path=values["control.path"],
        kind=values.get("control.kind", "given"),
        strength=values.get("control.strength", 1.0),
        downscale=downscale,
    )
    _check_sizes(merged, "control", control.downscale)
    return control, () if use is None else (use,)


def read_detail(merged: Merged, loras: Sequence[LoraUse]) -> tuple[Detail | None, tuple[LoraUse, ...]]:
    """The film that is made anew in detail, and its LoRA as it is applied: in stage 2, which alone runs."""
    if film_key(merged) != "detail":
        return None, ()
    if "refine" in merged.values:
        merged.report("detail.path", f"needs a stage 2, and {merged.preset} has none; take the preset distilled")
    use, downscale = _lora(merged, loras, "detail", "refine")
    if BAD in (merged.values["detail.path"], merged.values.get("detail.lora")):
        return None, ()
    detail = Detail(path=merged.values["detail.path"], downscale=downscale, takes_size=not is_size_said(merged))
    _check_sizes(merged, "detail", downscale)
    return detail, () if use is None else (use,)


def _lora(merged: Merged, loras: Sequence[LoraUse], key: str, stage: str) -> tuple[LoraUse | None, int]:
    """The LoRA that reads the film of ``key``, and how much smaller it sees it."""
    known, name, place = merged.facts.loras, merged.values.get(f"{key}.lora"), f"{key}.lora"
    if name is BAD:
        return None, 1
    if known is None:
        if name is not None:
            merged.report(place, f"{merged.facts.name} takes no LoRAs; leave it out")
        return None, 1
    if name is None:
        there = [each for each, facts in known.items() if facts.downscale is not None] or list(known)
        named = f"models.yaml names {', '.join(there)}" if there else "name its file in models.yaml"
        merged.report(place, f"is missing; the film is read by a LoRA of its kind, and {named}")
        return None, 1
    if name not in known:
        there_is = nearest(name, known) if known else "models.yaml names none for it"
        merged.report(place, f"{shown(name)} is not a LoRA of {merged.facts.name}; {there_is}")
        return None, 1
    if other := next((use.name for use in loras if use.name != name and _reads_a_control(merged, use)), None):
        what = f"{shown(other)} reads a control too, and two of them do not stack; take it out of loras"
        merged.report(place, what)
    if any(use.name == name for use in loras):
        merged.report(place, f"{shown(name)} is in loras too; take it out there")
    facts = known[name]
    use = LoraUse(name=name, is_path=False, strength=1.0, stages=(stage,), mode=facts.mode)
    return use, facts.downscale or 1


def _reads_a_control(merged: Merged, use: LoraUse) -> bool:
    facts = (merged.facts.loras or {}).get(use.name)
    return facts is not None and facts.downscale is not None


def _refuse_alone(merged: Merged, loras: Sequence[LoraUse]) -> None:
    for idx, use in enumerate(loras):
        if _reads_a_control(merged, use):
            what = f"{shown(use.name)} reads a control and has none; name it as control.lora beside control.path"
            merged.report(f"loras[{idx}].name", what)


def _check_sizes(merged: Merged, key: str, downscale: int) -> None:
    """The film's latents must be whole at its smaller size."""
    if downscale == 1:
        return
    step = merged.facts.video.size_multiple_px * downscale
    for side in ("width", "height"):
        px: Any = merged.values[side]
        if isinstance(px, int) and px % step and px % merged.facts.video.size_multiple_px == 0:
            below = px // step * step or step
            what = f"{px} is not a multiple of {step}, at which {key}.lora reads its film {downscale} times"
            merged.report(side, f"{what} smaller; nearest are {below} and {below + step}")
