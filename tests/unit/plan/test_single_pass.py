"""A video of one pass: which tasks it has, and at which sizes."""

from dataclasses import replace

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
