"""The LoRAs of a scene as recipes carry them, and what a user should know of them."""

from __future__ import annotations

from collections.abc import Iterator

from ltx_ray.errors import PlanError
from ltx_ray.manifest.loras import DISTILLED_LORA
from ltx_ray.manifest.presets import FOR_DEV
from ltx_ray.manifest.schema import LoraUse, Scene, Video
from ltx_ray.plan.conditions import SegmentStage
from ltx_ray.plan.notes import Note
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.weights import Lora, LoraFacts

#: What a manifest calls the descents of these stages.
_DESCENTS: dict[SegmentStage, str] = {"generate": "stage1", "refine": "refine"}


def loras_of(scene: Scene, stage: SegmentStage, facts: ModelFacts) -> tuple[tuple[LoraFacts, Lora], ...]:
    """Those that a scene applies in a stage.

    Raises:
        PlanError: one is not known; files that a manifest names are looked at before there is a plan.
    """
    found = []
    for use in scene.loras:
        if _DESCENTS[stage] in use.stages:
            known = (facts.loras or {}).get(use.name)
            if known is None:
                raise PlanError(f"loras: {use.name} is not a LoRA of {facts.name}")
            lora = Lora(digest=known.digest, strength=use.strength, mode=use.mode)
            found.append((known, lora))
    return tuple(found)


def lora_notes(video: Video, facts: ModelFacts) -> Iterator[Note]:
    """What a preset applies by itself or takes for granted, and what LoRAs seldom do well."""
    if facts.loras is not None and facts.kind is None:
        taken = "dev" if video.preset in FOR_DEV else "distilled"
        yield Note(
            f"models.yaml does not say whether {facts.name} is dev or distilled; {video.preset} takes it for {taken}",
            "kind",
        )
    distilled = dict.fromkeys(use for scene in video.scenes for use in scene.loras if use.name == DISTILLED_LORA)
    if distilled:
        where = " and ".join(f"at {use.strength:g} in {' and '.join(_run(video, use))}" for use in distilled)
        yield Note(
            f"{video.preset} applies the distilled LoRA of {facts.name} {where}",
            video.id,
            "videos apply the distilled LoRA of their model",
        )
    if facts.kind == "distilled" and any(scene.loras for scene in video.scenes):
        yield Note(f"{facts.name} is distilled; LoRAs trained on dev act stronger on it", "loras")


def lora_words(video: Video, facts: ModelFacts) -> list[list[dict[str, object]]]:
    """The LoRAs of each scene as a file names them: by their digests, because paths and names are the user's own."""
    return [
        [
            {"sha256": known.digest, "strength": use.strength, "stages": use.stages, "mode": use.mode}
            for use in scene.loras
            if (known := (facts.loras or {}).get(use.name)) is not None
        ]
        for scene in video.scenes
    ]


def _run(video: Video, use: LoraUse) -> Iterator[str]:
    return (stage for stage in use.stages if stage == "stage1" or not video.is_draft)
