"""How a finished video goes across its seams, as numbers beside it."""

from __future__ import annotations

from ltx_ray.media.seams import inspect_seams
from ltx_ray.spec.canonical import canonical
from ltx_ray.spec.recipe import InspectRecipe
from ltx_ray.stages.work import File, Work, makes


@makes(InspectRecipe)
def _make(recipe: InspectRecipe, work: Work) -> File:
    errors = work.inputs.numbers("connector", "reencode_error")
    found = inspect_seams(recipe, work.inputs.files("chunk"), work.inputs.files("sound"), errors)
    return File(canonical(found).encode(), ".json")
