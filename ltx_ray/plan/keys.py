"""Keys: what an artifact is called before it exists.

A key covers the schema, the stage and its version, the whole recipe and the parents' keys in order with their roles. A
recipe can gain options without changing a key: ``spec.canonical.later``.
"""

from __future__ import annotations

import hashlib

from ltx_ray.spec.canonical import canonical, text
from ltx_ray.spec.recipe import Recipe
from ltx_ray.spec.stages import SPECS
from ltx_ray.spec.task import Parent, Stage

KEY_SCHEMA = 2  # raised when the meaning of a recipe field changes; every key changes with it
_BEGINS = {stage: f'["ltx-ray",{KEY_SCHEMA},"{stage}",{spec.version}' for stage, spec in SPECS.items()}


def artifact_key(stage: Stage, recipe: Recipe, parents: tuple[Parent, ...]) -> str:
    """Hex sha256 of (schema, stage, stage version, recipe, role and key of each parent)."""
    inputs = [text(role) + "," + text(key) for role, key in parents]
    told = ",".join([_BEGINS[stage], canonical(recipe), *inputs])
    return _sha256(f"{told}]")


def digest_of(value: object) -> str:
    """Hex sha256 of a value's canonical text."""
    return _sha256(canonical(value))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()
