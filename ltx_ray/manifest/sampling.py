"""Joins the keys of a descent of noise into a ``Sampling``: noise levels from a schedule's name, guidance from scales.

Explicit sigmas stand for themselves. Guidance that changes nothing is None, and what it would not read is left out, so
that it is not part of a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

from ltx_ray.manifest.advice import note_cfg, note_refine
from ltx_ray.manifest.keys import DESCENTS, MODALITIES
from ltx_ray.manifest.merge import Merged
from ltx_ray.manifest.problems import BAD
from ltx_ray.manifest.schedules import Sigmas, last_steps, of_schedule, schedule_problem
from ltx_ray.manifest.schema import Sampling
from ltx_ray.spec.recipe import Guidance, GuidanceScales

#: Scales of one modality in the order of ``GuidanceScales``, and their neutral values.
NEUTRAL = {"cfg": 1.0, "stg": 0.0, "modality": 1.0, "rescale": 0.0}
#: Keys of all scales of a descent with their neutral values: those of the picture, then those of the sound.
_SCALE_KEYS = {
    descent: [
        (f"{descent}.guidance.{modality}.{scale}", neutral)
        for modality in MODALITIES
        for scale, neutral in NEUTRAL.items()
    ]
    for descent in DESCENTS
}


def read_stage1(merged: Merged) -> Sampling:
    """How stage 1 samples."""
    note_cfg(merged)
    return _sampling(merged, "stage1")


def read_refine(merged: Merged) -> Sampling | None:
    """How stage 2 samples; None = a draft."""
    if "refine" in merged.values:
        return None
    refine = _sampling(merged, "refine")
    note_refine(merged, refine.sigmas)
    return refine


def in_single_pass(merged: Merged) -> Merged:
    """``merged``; for ``stages: one`` without the stage 2 of its preset, and stage 1 renders the final size."""
    if merged.values["stages"] != "one":
        return merged
    if is_of_stage_2(merged):
        return replace(merged, facts=merged.facts.rendering(Fraction(1)))
    if given := next((key for key in _refine_keys(merged.values) if merged.is_set(key)), None):
        merged.report(given, "is of stage 2, which stages: one leaves out; take one of them out")
    facts = merged.facts.rendering(Fraction(1))
    return replace(merged, facts=facts, values=without_refine(merged.values))


def with_upsampler(merged: Merged) -> Merged:
    """``merged`` with the facts of the upsampler that it chooses; the model's own, named, is the same as none named."""
    name = merged.values["upsampler"]
    if name in (None, BAD):
        return merged
    if merged.values["stages"] == "one":
        merged.report("upsampler", f"{name} is between two stages, and there is one; take one of them out")
        return merged
    there = [each.name for each in merged.facts.upsamplers]
    if name not in there:
        has = f"it has {', '.join(there)}" if there else "models.yaml names none for it"
        merged.report("upsampler", f"{merged.facts.name} has no {name}; {has}")
        return merged
    chosen = merged.facts.with_upsampler(name)
    if chosen == merged.facts:
        return replace(merged, values={**merged.values, "upsampler": None})
    return replace(merged, facts=chosen)


def is_of_stage_2(merged: Merged) -> bool:
    """Whether the one pass is that of stage 2, over a film."""
    return "detail" not in merged.values and "detail.path" in merged.values


def without_refine(values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` where stage 2 does not run."""
    left_out = _refine_keys(values)
    return {key: value for key, value in values.items() if key not in left_out} | {"refine": None}


def _refine_keys(values: Mapping[str, Any]) -> list[str]:
    """Those that say how stage 2 samples."""
    return [key for key in values if key.startswith("refine.") and key != "refine.order"]


def _sampling(merged: Merged, descent: str) -> Sampling:
    sampler = merged.values.get(f"{descent}.sampler", "euler")
    return _shared(sampler, _sigmas(merged, descent), _guidance(merged, descent))


@lru_cache(maxsize=256)
def _shared(sampler: str, sigmas: Sigmas, guidance: Guidance | None) -> Sampling:
    return Sampling(sampler=sampler, sigmas=sigmas, guidance=guidance)


def _sigmas(merged: Merged, descent: str) -> Sigmas:
    """The noise levels; BAD when there are none because a problem was reported."""
    values = merged.values
    if f"{descent}.sigmas" in values:
        sigmas: Sigmas = values[f"{descent}.sigmas"]
        return sigmas
    if descent == "refine" and "refine.strength" in values:
        return last_steps(merged)
    schedule, steps = values.get(f"{descent}.schedule"), values.get(f"{descent}.steps")
    if BAD in (schedule, steps):
        return BAD  # type: ignore[no-any-return]
    if problem := schedule_problem(schedule, steps):
        merged.report(f"{descent}.{problem[0]}", problem[1])
        return BAD  # type: ignore[no-any-return]
    return of_schedule(schedule, steps)


def _guidance(merged: Merged, descent: str) -> Guidance | None:
    values, group = merged.values, f"{descent}.guidance"
    if group in values:  # null, or refused
        return None
    scales = tuple([values.get(key, neutral) for key, neutral in _SCALE_KEYS[descent]])
    if BAD in scales or (guidance := _of_scales(scales)) is None:
        return None
    if merged.facts.num_blocks == 0:
        key = next(key for key, neutral in _SCALE_KEYS[descent] if values.get(key, neutral) != neutral)
        merged.report(key, f"{merged.facts.name} cannot be guided; set {group} to null")
        return None
    return _with_blocks(merged, group, guidance) if guidance.uses_perturbed else guidance


@lru_cache(maxsize=256)
def _of_scales(scales: tuple[float, ...]) -> Guidance | None:
    """Guidance but for its blocks, from the scales of the picture and then of the sound."""
    each = len(NEUTRAL)
    video, audio = _scales(*scales[:each]), _scales(*scales[each:])
    return None if video == audio == GuidanceScales() else Guidance(video=video, audio=audio)


def _scales(cfg: float, stg: float, modality: float, rescale: float) -> GuidanceScales:
    """Without the rescaling of what was not pushed anywhere."""
    pushed = GuidanceScales(cfg=cfg, stg=stg, modality=modality)
    return pushed if pushed == GuidanceScales() else replace(pushed, rescale=rescale)


def _with_blocks(merged: Merged, group: str, guidance: Guidance) -> Guidance:
    """``guidance`` with the blocks that its stg runs without self-attention; ``audio_stg_blocks`` only where needed."""
    used = [modality for modality in MODALITIES if getattr(guidance, modality).stg]
    blocks = [_stg_blocks(merged, group, modality) for modality in used]
    return replace(guidance, stg_blocks=blocks[0], audio_stg_blocks=blocks[1] if blocks[1:] != blocks[:-1] else ())


def _stg_blocks(merged: Merged, group: str, modality: str) -> tuple[int, ...]:
    """The blocks of one modality. Where a preset's are too many for a small model, its last."""
    values, num_blocks = merged.values, merged.facts.num_blocks
    own, common = f"{group}.{modality}.stg_blocks", f"{group}.stg_blocks"
    key = own if own in values else common
    blocks: tuple[int, ...] = values.get(key, ())
    if blocks is BAD:
        return ()
    if not blocks:
        stg = f"{group}.{modality}.stg"
        what = f"{values[stg]:g} needs blocks to leave self-attention out of; write {common}, such as [28]"
        merged.report(stg, what)
    elif num_blocks is not None and blocks[-1] >= num_blocks:
        if merged.is_set(key):
            known = f"{merged.facts.name}, which has 0 to {num_blocks - 1}"
            merged.report(key, f"{blocks[-1]} is not a block of {known}; nearest is {num_blocks - 1}")
        else:
            last = f"{merged.facts.name} has 0 to {num_blocks - 1}, so it guides with {num_blocks - 1}"
            merged.note("preset", f"{merged.preset} guides with block {blocks[-1]}; {last}")
        return (*(block for block in blocks if block < num_blocks - 1), num_blocks - 1)
    return blocks
