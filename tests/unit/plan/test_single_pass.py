"""A video of one pass: which tasks it has, and at which sizes."""

import json
from dataclasses import replace

from ltx_ray.models.ltx2.tiny_facts import TINY
from ltx_ray.plan.graph import build_plan
from tests.unit.plan.examples import FACTS, SCENE, manifest, video

SINGLE = replace(video(), scenes=(replace(SCENE, refine=None),), audio_from="stage1", stages="one", width=160)


def test_stage_1_renders_the_final_size_and_nothing_is_upscaled_or_refined():
    plan = build_plan(manifest(SINGLE), {"toy": FACTS})
    stages = [task.stage for task in plan.tasks.values()]
    assert {"upscale", "refine"}.isdisjoint(stages)
    (generate,) = (task.recipe for task in plan.tasks.values() if task.stage == "generate")
    assert (generate.width_px, generate.height_px) == (160, 256)
    assert (plan.videos[0].width_px, plan.videos[0].height_px) == (160, 256)


def test_a_draft_stays_at_the_size_of_stage_1():
    plan = build_plan(manifest(replace(SINGLE, stages="two", width=384)), {"toy": FACTS})
    assert (plan.videos[0].width_px, plan.videos[0].height_px) == (192, 128)


def test_another_upsampler_over_the_same_stage_1_makes_anew_what_comes_after_it():
    def plan(upsampler, width, height):
        of = replace(video("fox"), model="tiny-2.3", upsampler=upsampler, width=width, height=height)
        return {task.name: task.key for task in build_plan(manifest(of), {"tiny-2.3": TINY["2.3"]}).tasks.values()}

    before, after = plan(None, 256, 128), plan("x1.5", 192, 96)
    assert {name for name, key in after.items() if before.get(name) == key} == {
        "fox text_encode",
        "fox/segment 0 generate",
    }
    assert plan("x2", 256, 128)["fox/segment 0 refine"] == before["fox/segment 0 refine"]


def test_a_file_names_the_upsampler_that_was_chosen_for_it():
    def says(upsampler, width, height, scene=SCENE):
        of = replace(video("fox"), model="tiny-2.3", upsampler=upsampler, width=width, height=height, scenes=(scene,))
        tasks = build_plan(manifest(of), {"tiny-2.3": TINY["2.3"]}).tasks.values()
        (recipe,) = (task.recipe for task in tasks if task.stage == "stitch")
        return json.loads(recipe.provenance)

    digests = {each.name: each.weights.digest for each in TINY["2.3"].upsamplers}
    assert says("x1.5", 192, 96)["upsampler"] == {"name": "x1.5", "digest": digests["x1.5"]}
    assert "upsampler" not in says(None, 256, 128)
    assert "upsampler" not in says("x1.5", 192, 96, replace(SCENE, refine=None)), "a draft is upscaled by nothing"
