"""Faults planted where a video goes on from a file: the proof names the first frame after the source."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ltx_ray import api
from ltx_ray.proof import probe
from ltx_ray.spec.recipe import ConditionRecipe
from ltx_ray.stages.work import MAKERS

SIZE = "defaults: {width: 128, height: 128, frame_rate: 24, prompt: x}"


def shifted(frames):
    """The connector is taken from so many frames too early."""
    return lambda found: (
        lambda recipe, work: found(replace(recipe, start=recipe.start + frames, stop=recipe.stop + frames), work)
    )


def without(name):
    """The connector's picture, or its sound, is empty."""

    def faulty(found):
        def condition(recipe, work):
            tensors = found(recipe, work)
            return {**tensors, name: torch.zeros_like(tensors[name])}

        return condition

    return faulty


def at_one_stage(fault, width):
    """Only at the stage whose pictures are so wide."""

    def faulty(found):
        wrong = fault(found)
        return lambda recipe, work: (wrong if recipe.footage.width_px == width else found)(recipe, work)

    return faulty


@pytest.fixture
def extended(tmp_path, monkeypatch):
    """Renders a card of 3 s that goes on for 2 s, with a fault in its connector; the proof of the file."""

    def render(fault=None):
        source = tmp_path / "source.yaml"
        source.write_text(f"model: testcard\n{SIZE}\nvideos: [{{id: fox, seconds: 3}}]\n")
        options = api.RenderOptions(run_dir=tmp_path / "runs/source", inline=True)
        api.render(api.load_manifest(source), options)
        on = tmp_path / "on.yaml"
        path = tmp_path / "runs/source/videos/fox.mp4"
        on.write_text(
            f"model: testcard\n{SIZE}\nvideos: [{{id: on, segment: {{connector: 17}}, "
            f"extend: {{path: {path}, seconds: 2}}}}]\n"
        )
        if fault is not None:
            monkeypatch.setitem(MAKERS, ConditionRecipe, fault(MAKERS[ConditionRecipe]))
        api.render(api.load_manifest(on), replace(options, run_dir=tmp_path / "runs/on"))
        return probe(tmp_path / "runs/on/videos/on.mp4")

    return render


def test_without_a_fault_nothing_is_wrong(extended):
    assert extended().wrong == ()


@pytest.mark.parametrize(
    "fault",
    [
        shifted(-1),
        shifted(-8),
        without("video"),
        at_one_stage(shifted(-8), 64),
        at_one_stage(shifted(-8), 128),
        at_one_stage(without("video"), 64),
        at_one_stage(without("video"), 128),
    ],
    ids=["1 frame", "1 latent", "dropped", "half", "full", "half dropped", "full dropped"],
)
def test_a_wrong_connector_shows_at_the_first_frame_after_the_source(extended, fault):
    assert extended(fault).wrong[0].startswith("frame 72: ")


def test_sound_that_is_not_handed_over_is_heard(extended):
    assert any(line.startswith("sound at 3.000 s: ") for line in extended(without("audio")).wrong)
