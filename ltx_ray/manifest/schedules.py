"""Noise levels from the name of a schedule and a number of steps, and how strength takes the last of them."""

from __future__ import annotations

from functools import lru_cache

from ltx_ray.manifest.keys import FIXED_SCHEDULES, LEAST_STEPS
from ltx_ray.manifest.merge import Merged
from ltx_ray.manifest.presets import PRESETS
from ltx_ray.manifest.problems import BAD
from ltx_ray.spec.sigmas import ShiftedByTokens, linear_quadratic, shifted

Sigmas = tuple[float, ...] | ShiftedByTokens


@lru_cache(maxsize=256)
def schedule_problem(schedule: str | None, steps: int | None) -> tuple[str, str] | None:
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
def of_schedule(schedule: str, steps: int) -> Sigmas:
    if schedule in FIXED_SCHEDULES:
        return FIXED_SCHEDULES[schedule]
    if schedule == "shifted-by-tokens":
        return ShiftedByTokens(steps)
    return shifted(steps) if schedule == "shifted" else linear_quadratic(steps)


def last_steps(merged: Merged) -> Sigmas:
    """Stage 2 by strength: the last ``steps`` of a schedule of round(steps / strength) steps.

    A preset's fixed noise levels give way to ``shifted`` with as many steps, which a note says; fixed ones that the
    manifest asks for are refused. BAD when a problem was reported.
    """
    values, key = merged.values, "refine.strength"
    strength, schedule = values[key], values.get("refine.schedule")
    steps = values.get("refine.steps") or _preset_steps(merged)
    if BAD in (strength, schedule, steps):
        return BAD  # type: ignore[no-any-return]
    if schedule in FIXED_SCHEDULES and merged.is_set("refine.schedule"):
        what = f"{strength:g} needs a schedule of any number of steps, and {schedule} is fixed; take shifted"
        merged.report(key, what)
        return BAD  # type: ignore[no-any-return]
    if steps is None:
        merged.report(key, f"{strength:g} needs a number of steps; write refine.steps beside it, such as 3")
        return BAD  # type: ignore[no-any-return]
    if schedule is None or schedule in FIXED_SCHEDULES:
        merged.note(key, f"takes the schedule shifted, because the noise levels of {merged.preset} are fixed")
        schedule = "shifted"
    num_steps = round(steps / strength)
    if problem := schedule_problem(schedule, num_steps):
        merged.report(f"refine.{problem[0]}", problem[1])
        return BAD  # type: ignore[no-any-return]
    return _last(schedule, num_steps, steps)


def _preset_steps(merged: Merged) -> int | None:
    """The steps of stage 2 in the preset, which may give noise levels instead; None = it has no stage 2."""
    preset = PRESETS[merged.facts.family][merged.preset]
    sigmas = preset.get("refine.sigmas")
    steps: int | None = preset.get("refine.steps") if sigmas is None else len(sigmas) - 1
    return steps


@lru_cache(maxsize=256)
def _last(schedule: str, num_steps: int, steps: int) -> Sigmas:
    sigmas = of_schedule(schedule, num_steps)
    if num_steps == steps:
        return sigmas
    return ShiftedByTokens(num_steps, last=steps) if isinstance(sigmas, ShiftedByTokens) else sigmas[-1 - steps :]
