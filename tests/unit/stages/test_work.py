"""The registry of what makes what: one maker for every kind of recipe, in the file of its stage."""

from __future__ import annotations

import sys

import pytest

from ltx_ray.spec.recipe import UpscaleRecipe
from ltx_ray.spec.stages import SPECS
from ltx_ray.stages import work


def test_every_recipe_of_a_workers_stage_is_made_in_the_file_of_its_stage():
    work.load_stages()
    for stage, spec in SPECS.items():
        for kind in spec.recipes:
            if spec.device == "driver":
                assert kind not in work.MAKERS
            else:
                assert work.MAKERS[kind].__module__ == f"ltx_ray.stages.{stage}"


def test_a_recipe_is_made_in_one_place():
    with pytest.raises(AssertionError, match="UpscaleRecipe is made in two places"):
        work.makes(UpscaleRecipe)(lambda recipe, work: {})


def test_a_stage_whose_file_makes_nothing_of_its_recipe_is_known_before_there_is_work(monkeypatch):
    work.load_stages()
    monkeypatch.delitem(work.MAKERS, UpscaleRecipe)
    with pytest.raises(AssertionError, match=r"stages/upscale\.py makes nothing of UpscaleRecipe"):
        work.load_stages()


def test_a_stage_without_a_file_is_known_before_there_is_work(monkeypatch):
    monkeypatch.setitem(SPECS, "sharpen", SPECS["stitch"])
    monkeypatch.delitem(sys.modules, "ltx_ray.stages.sharpen", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r"ltx_ray\.stages\.sharpen"):
        work.load_stages()
