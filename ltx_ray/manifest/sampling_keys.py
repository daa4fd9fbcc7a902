"""The keys of the two descents of noise, ``stage1`` and ``refine``, which are the same, and the schedules by name."""

from __future__ import annotations

from ltx_ray.manifest import fields
from ltx_ray.manifest.fields import Rule
from ltx_ray.spec.sigmas import DISTILLED, STAGE_2_DISTILLED

DESCENTS = ("stage1", "refine")
SAMPLERS = ("euler", "euler_ancestral", "dpmpp_2m", "res_2s")

#: Schedules whose noise levels are given, and with them the number of steps.
FIXED_SCHEDULES: dict[str, tuple[float, ...]] = {"distilled": DISTILLED, "stage2-distilled": STAGE_2_DISTILLED}
#: Schedules of any number of steps, and the least each can have.
LEAST_STEPS = {"shifted": 2, "shifted-by-tokens": 2, "linear-quadratic": 1}
SCHEDULES = (*FIXED_SCHEDULES, *LEAST_STEPS)

MODALITIES = ("video", "audio")
#: Scales of one modality in the order of ``GuidanceScales``, and their neutral values.
NEUTRAL = {"cfg": 1.0, "stg": 0.0, "modality": 1.0, "rescale": 0.0}
#: Far beyond any use, and low enough to catch 35 for 3.5.
MAX_SCALE = 30.0

_SCALE_RULES: dict[str, Rule] = {
    "cfg": fields.number(1.0, MAX_SCALE, "a guidance scale"),
    "stg": fields.number(0.0, MAX_SCALE, "a guidance scale"),
    "modality": fields.number(1.0, MAX_SCALE, "a guidance scale"),
    "rescale": fields.number(0.0, 1.0, "a share"),
}


def sampling_rules(descent: str) -> dict[str, Rule]:
    """Every key of one descent."""
    return {
        f"{descent}.sampler": fields.one_of("a sampler", SAMPLERS),
        f"{descent}.schedule": fields.one_of("a schedule", SCHEDULES),
        f"{descent}.steps": fields.whole(1, fields.MAX_STEPS),
        f"{descent}.sigmas": fields.sigmas,
        **{
            f"{descent}.guidance.{modality}.{scale}": rule
            for modality in MODALITIES
            for scale, rule in _SCALE_RULES.items()
        },
        f"{descent}.guidance.stg_blocks": fields.blocks,
    }


def sampling_groups(descent: str) -> tuple[str, ...]:
    """The mappings that hold those keys, outermost first."""
    return (descent, f"{descent}.guidance", *(f"{descent}.guidance.{modality}" for modality in MODALITIES))


def scale_keys(descent: str) -> tuple[tuple[str, float], ...]:
    """Keys of all scales with their neutral values: those of the picture, then those of the sound."""
    return tuple(
        (f"{descent}.guidance.{modality}.{scale}", neutral)
        for modality in MODALITIES
        for scale, neutral in NEUTRAL.items()
    )
