"""The one table of stages, and that nothing beside it lists them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

import ltx_ray
from ltx_ray.engine.priority import STAGE_WEIGHTS
from ltx_ray.plan.placement import FILE_STAGES
from ltx_ray.spec import recipe
from ltx_ray.spec.stages import SPECS, STAGES, Stage, StageSpec
from ltx_ray.store.keep import SURVIVORS

PACKAGE = Path(ltx_ray.__file__).parent


def test_every_name_of_a_stage_has_a_row_in_the_order_of_a_video():
    assert get_args(Stage) == STAGES == tuple(SPECS)


def test_every_kind_of_recipe_belongs_to_one_stage():
    kinds = [kind for spec in SPECS.values() for kind in spec.recipes]
    assert sorted(kinds, key=lambda kind: kind.__name__) == sorted(get_args(recipe.Recipe), key=lambda k: k.__name__)


@pytest.mark.parametrize("column", ["version", "recipes", "weights", "device", "seconds", "kept_by"])
def test_a_row_without_a_column_is_an_error_of_python(column):
    row = {name: getattr(SPECS["stitch"], name) for name in StageSpec.__slots__ if name != column}
    with pytest.raises(TypeError, match=column):
        StageSpec(**row)


def test_what_lists_stages_derives_from_the_table():
    assert set(STAGE_WEIGHTS) == set(STAGES) and STAGE_WEIGHTS["refine"] == SPECS["refine"].seconds
    assert FILE_STAGES == {"ingest", "stitch", "inspect"}
    assert SURVIVORS["outputs"] == {"stitch", "inspect"}
    assert SURVIVORS["latents"] == SURVIVORS["outputs"] | {"condition", "generate", "refine"}


def test_no_other_file_lists_the_stages():
    """Three and more names of stages in one literal are a list that a new stage would be missing from."""
    name = "|".join(STAGES)
    listing = re.compile(rf'(?:"(?:{name})"\s*[:,][^"\n]*\s*){{3,}}')
    found = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path.name != "stages.py" and listing.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []
