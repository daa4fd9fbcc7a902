"""Notes on values that the manifest itself sets outside of what is usual; nothing here is an error."""

from __future__ import annotations

from ltx_ray.manifest.merge import Merged
from ltx_ray.manifest.problems import BAD
from ltx_ray.manifest.schedules import Sigmas
from ltx_ray.spec.sigmas import STAGE_2_DISTILLED, ShiftedByTokens

#: Below, stage 2 adds little; above, it makes the motion of stage 1 again. What users of LTX-2 report.
USUAL_STRENGTH = (0.3, 0.7)
#: On undistilled checkpoints; distilled ones are made to run at 1.
USUAL_CFG = (3.0, 4.5)


def note_refine(merged: Merged, sigmas: Sigmas) -> None:
    """Says where stage 2 begins at an unusual level of noise."""
    if sigmas is BAD:
        return
    by_sigmas = "refine.sigmas" in merged.values
    by_strength = not by_sigmas and "refine.strength" in merged.values
    from_noise = sigmas.last is None if isinstance(sigmas, ShiftedByTokens) else sigmas[0] >= 1.0
    key = "refine.sigmas" if by_sigmas else "refine.strength" if by_strength else "refine.schedule"
    if from_noise:
        merged.note(key, f"begins at 1.0, which leaves nothing of stage 1; {STAGE_2_DISTILLED[0]} is usual")
    elif by_strength and merged.is_set(key):
        strength = merged.values[key]
        least, most = USUAL_STRENGTH
        if strength > most:
            merged.note(key, f"is above {most:g}, where stage 2 makes the motion again")
        elif strength < least:
            merged.note(key, f"is below {least:g}, where stage 2 adds little")


def note_cfg(merged: Merged) -> None:
    """Says where the picture is led away from the negative prompt by more or less than the checkpoint takes well."""
    key = "stage1.guidance.video.cfg"
    cfg, kind = merged.values.get(key, BAD), merged.facts.kind or merged.preset
    if cfg is BAD or "stage1.guidance" in merged.values or not merged.is_set(key):
        return
    least, most = USUAL_CFG
    if kind == "dev" and not least <= cfg <= most:
        merged.note(key, f"is outside {least:g} to {most:g}, which is usual for undistilled checkpoints")
    elif kind == "distilled" and cfg > 1.0:
        merged.note(key, "is above 1, at which distilled checkpoints are made to run")
