"""Joins the keys of a descent of noise into a ``Sampling``: noise levels from a schedule's name, guidance from scales.

Explicit sigmas stand for themselves. Guidance that changes nothing is None, and what it would not read is left out, so
that it is not part of a key.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from ltx_ray.manifest.keys import DESCENTS, FIXED_SCHEDULES, LEAST_STEPS, MODALITIES
from ltx_ray.manifest.merge import Merged
from ltx_ray.manifest.problems import BAD
from ltx_ray.manifest.schema import Sampling
from ltx_ray.spec.recipe import Guidance, GuidanceScales
from ltx_ray.spec.sigmas import STAGE_2_DISTILLED, ShiftedByTokens, linear_quadratic, shifted

Sigmas = tuple[float, ...] | ShiftedByTokens

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
    return _sampling(merged, "stage1")


def read_refine(merged: Merged) -> Sampling | None:
    """How stage 2 samples; None = a draft."""
    if "refine" in merged.values:
        return None
    refine = _sampling(merged, "refine")
    if refine.sigmas is not BAD and (isinstance(refine.sigmas, ShiftedByTokens) or refine.sigmas[0] >= 1.0):
        named = "refine.sigmas" if "refine.sigmas" in merged.values else "refine.schedule"
        merged.note(named, f"begins at 1.0, which leaves nothing of stage 1; {STAGE_2_DISTILLED[0]} is usual")
    return refine


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
    schedule, steps = values.get(f"{descent}.schedule"), values.get(f"{descent}.steps")
    if BAD in (schedule, steps):
        return BAD  # type: ignore[no-any-return]
    if problem := _schedule_problem(schedule, steps):
        merged.report(f"{descent}.{problem[0]}", problem[1])
        return BAD  # type: ignore[no-any-return]
    return _of_schedule(schedule, steps)


@lru_cache(maxsize=256)
def _schedule_problem(schedule: str | None, steps: int | None) -> tuple[str, str] | None:
    """The key and what is wrong with it."""
    if schedule is None and steps is None:
        return "schedule", "is missing, and there are no sigmas; write stage2-distilled"
    if schedule is None:
        return "steps", f"{steps} steps of no schedule; write schedule beside them, such as shifted"
    if schedule in FIXED_SCHEDULES:
        fixed = len(FIXED_SCHEDULES[schedule]) - 1
        if steps not in (None, fixed):
            return "steps", f"{steps} steps do not go with the schedule {schedule}, which has {fixed}; shifted has any"
    elif steps is None:
        return "schedule", f"{schedule} needs a number of steps; write steps beside it, such as 30"
    elif steps < LEAST_STEPS[schedule]:
        return "steps", f"{steps} is too few for the schedule {schedule}; at least {LEAST_STEPS[schedule]}"
    return None


@lru_cache(maxsize=256)
def _of_schedule(schedule: str, steps: int) -> Sigmas:
    if schedule in FIXED_SCHEDULES:
        return FIXED_SCHEDULES[schedule]
    if schedule == "shifted-by-tokens":
        return ShiftedByTokens(steps)
    return shifted(steps) if schedule == "shifted" else linear_quadratic(steps)


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
    return replace(guidance, stg_blocks=_stg_blocks(merged, group)) if guidance.uses_perturbed else guidance


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


def _stg_blocks(merged: Merged, group: str) -> tuple[int, ...]:
    """The blocks that stg runs without self-attention. Where a preset's are too many for a small model, its last."""
    values, key, num_blocks = merged.values, f"{group}.stg_blocks", merged.facts.num_blocks
    blocks: tuple[int, ...] = values.get(key, ())
    if blocks is BAD:
        return ()
    if not blocks:
        used = next(f"{group}.{modality}.stg" for modality in MODALITIES if values.get(f"{group}.{modality}.stg"))
        merged.report(used, f"{values[used]:g} needs blocks to leave self-attention out of; write {key}, such as [28]")
    elif num_blocks is not None and blocks[-1] >= num_blocks:
        if merged.is_set(key):
            what = f"{blocks[-1]} is not a block of {merged.facts.name}; nearest is {num_blocks - 1}"
            merged.report(key, what)
        else:
            last = f"{merged.facts.name} has 0 to {num_blocks - 1}, so it guides with {num_blocks - 1}"
            merged.note("preset", f"{merged.preset} guides with block {blocks[-1]}; {last}")
        return (*(block for block in blocks if block < num_blocks - 1), num_blocks - 1)
    return blocks
