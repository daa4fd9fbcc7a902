"""The presets as a person reads them: a table for each family, in the words a manifest uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from ltx_ray.errors import PlanError
from ltx_ray.manifest.presets import NEGATIVE_PROMPT, NEGATIVE_PROMPT_2_5, PRESETS, SOURCES
from ltx_ray.manifest.problems import nearest, shown

#: Stands where a preset leaves a key to the built-in value.
NOTHING = "-"
LEGEND = (
    f"{NOTHING}: the built-in value. distilled_lora.*: strengths on a dev checkpoint of the model's distilled LoRA",
    "image_crf: of H.264, at which images are coded first unless they say another",
    f"sources: {'; '.join(f'{family} follows {source}' for family, source in SOURCES.items())}",
    f"negative_prompt of LTX-2 and 2.3, where guidance is away from it: {NEGATIVE_PROMPT}",
    f"negative_prompt of LTX-2.5: before the same, {NEGATIVE_PROMPT_2_5.removesuffix(NEGATIVE_PROMPT).rstrip(' ,')}",
)


@dataclass(frozen=True, slots=True)
class FamilyPresets:
    """The presets of a family of models."""

    family: str
    values: Mapping[str, Mapping[str, Any]]  #: by preset, as JSON has them
    rows: list[tuple[str, ...]]  #: the same as a table, its head first


class Presets(NamedTuple):
    families: list[FamilyPresets]
    legend: tuple[str, ...] = LEGEND  #: lines that say what the words of the tables mean


def presets_of(family: str | None) -> Presets:
    """Those of one family, or with None of each.

    Raises:
        PlanError: there is no such family.
    """
    if family is not None:
        check_family(family)
    names = PRESETS if family is None else [family]
    return Presets(
        [
            FamilyPresets(name, {preset: preset_values(name, preset) for preset in PRESETS[name]}, preset_table(name))
            for name in names
        ]
    )


def check_family(family: str) -> None:
    """Raises PlanError, naming the nearest, when there is no such family."""
    if family not in PRESETS:
        raise PlanError(f"--presets: {shown(family)} is not a family of models; {nearest(family, PRESETS)}")


def preset_table(family: str) -> list[tuple[str, ...]]:
    """Rows of cells: ``key`` and the presets' names first, then a row for each key that any of them decides.

    Long text, the negative prompt, has no row.
    """
    presets = PRESETS[family]
    keys = dict.fromkeys(key for preset in presets.values() for key in preset if key != "negative_prompt")
    rows = [
        (key, *(_written(key, preset[key]) if key in preset else NOTHING for preset in presets.values()))
        for key in sorted(keys, key=_position)
    ]
    return [("key", *presets), *rows]


def preset_values(family: str, preset: str) -> dict[str, Any]:
    """The values of one preset as JSON has them; a size is ``1080x1920``."""
    return {key: _plain(key, value) for key, value in PRESETS[family][preset].items()}


def _position(key: str) -> int:
    """Sizes first, then stage 1, refine, what is left, and last what is no key; the order of presets within."""
    groups = ("stage1", "refine", "audio_from", "output", "distilled_lora", "image_crf")
    group = key.split(".", maxsplit=1)[0]
    return groups.index(group) + 1 if group in groups else 0


def _written(key: str, value: Any) -> str:
    plain = _plain(key, value)
    if plain is None:
        return "none" if key.startswith("distilled_lora.") else "null"
    return f"{plain:g}" if isinstance(plain, float) else str(plain)


def _plain(key: str, value: Any) -> Any:
    if key == "output.crop":
        return f"{value[0]}x{value[1]}"
    if isinstance(value, tuple):
        return list(value)
    return int(value) if isinstance(value, Fraction) and value.denominator == 1 else value
