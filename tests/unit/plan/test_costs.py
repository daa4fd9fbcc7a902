"""What tasks cost: by the table of the published models, and nothing where it does not hold."""

import time
from dataclasses import replace
from fractions import Fraction

import pytest

from ltx_ray.plan.costs import costs_of, is_full_size, num_evaluations, pictures_of, size_of, table
from ltx_ray.plan.graph import build_plan
from ltx_ray.plan.seconds import MIN_MEASURED, Measured, Seconds
from ltx_ray.plan.work import chain_of, work_of
from ltx_ray.spec.cost import Cost
from ltx_ray.spec.recipe import Guidance, GuidanceScales
from tests.unit.plan.examples import FACTS, MODELS, manifest, video

GB = 10**9
#: A model of the published size, whose transformer takes 38 GB.
FULL = replace(
    FACTS,
    family="ltx-2.3",
    num_blocks=48,
    video_channels=128,
    audio_channels=128,
    part_bytes=(("transformer", 38 * GB), ("video_vae", GB)),
)


def plan(*videos, facts=FULL):
    return build_plan(manifest(*(videos or [video()])), {"toy": facts}).tasks


def of_stage(tasks, costs, stage):
    return [costs[key] for key, task in tasks.items() if task.stage == stage]


def large(**changes):
    return video(width=1920, height=1088, num_frames=121, seconds=None, **changes)


def test_nothing_is_known_of_models_of_another_size():
    tasks = plan(facts=FACTS)
    assert not is_full_size(FACTS) and costs_of(tasks, [FACTS]) == {}
    assert size_of(FACTS.weights[0], [FACTS]).num_bytes == 0


def test_a_pass_costs_what_the_table_says_of_its_tokens():
    tasks = plan(large())
    costs = costs_of(tasks, [FULL])
    told = table()["ltx-2.3"]["sample"]
    (generate,), (refine,) = (of_stage(tasks, costs, stage) for stage in ("generate", "refine"))
    tokens = 16 * 34 * 60
    assert refine.flops == pytest.approx(sum(each * tokens**power for power, each in enumerate(told["flops"])))
    assert refine.peak_bytes == pytest.approx(told["bytes"][0] + told["bytes"][1] * tokens, abs=1)
    assert 3.5 * GB < refine.peak_bytes < 4.2 * GB
    quarter = tokens / 4
    assert generate.flops == pytest.approx(2 * sum(each * quarter**power for power, each in enumerate(told["flops"])))


def test_guidance_costs_a_pass_a_kind_and_a_negative_prompt_a_batch_of_two():
    scene = large().scenes[0]
    plain = of_stage(tasks := plan(large()), costs_of(tasks, [FULL]), "generate")[0]
    for guidance, passes, batch in (
        (Guidance(video=GuidanceScales(cfg=3.0)), 2, 2),
        (Guidance(video=GuidanceScales(stg=1.0)), 2, 1),
        (Guidance(video=GuidanceScales(cfg=3.0, stg=1.0, modality=3.0)), 4, 2),
    ):
        guided = large(stage1=replace(scene.stage1, guidance=guidance), negative_prompt="ugly")
        tasks = plan(guided)
        (cost,) = of_stage(tasks, costs_of(tasks, [FULL]), "generate")
        assert cost.flops == pytest.approx(passes * plain.flops)
        assert cost.peak_bytes == pytest.approx(batch * plain.peak_bytes, rel=1e-6)


def test_a_sampler_of_second_order_asks_twice_a_step_but_for_the_last():
    tasks = plan(large())
    sampling = next(task.recipe.sampling for task in tasks.values() if task.stage == "generate")
    assert num_evaluations(sampling) == 2
    assert num_evaluations(replace(sampling, sampler="res_2s", sigmas=(1.0, 0.5, 0.2, 0.0))) == 5


def test_decoding_takes_the_same_memory_at_any_length_and_time_by_its_latents():
    def decodes(**changes):
        tasks = plan(large(**changes))
        return of_stage(tasks, costs_of(tasks, [FULL]), "decode")

    short, long = decodes(), decodes(scenes=(replace(large().scenes[0], num_frames=None, seconds=Fraction(12)),))
    assert len(long) > 1 and {each.peak_bytes for each in (*short, *long)} == {short[0].peak_bytes}
    assert 3.5 * GB < short[0].peak_bytes < 4.5 * GB
    assert sum(each.flops for each in long) > 1.5 * short[0].flops
    tiled = decodes(decode_tiling="tiles")
    assert tiled[0].peak_bytes != short[0].peak_bytes


def test_parts_are_as_large_as_their_model_says_and_its_blocks_a_48th():
    transformer = next(each for each in FULL.weights if each.part == "transformer")
    size = size_of(transformer, [FACTS.__class__, FULL][1:])
    assert size.num_bytes == 38 * GB and size.streamed(2) < 3 * GB
    assert size.block_bytes * 48 + size.rest_bytes == pytest.approx(size.num_bytes, rel=1e-6)


def test_the_pictures_that_are_encoded_are_those_of_stage_2():
    tasks = plan(large())
    sizes = pictures_of(tasks)
    assert {sizes[key] for key, task in tasks.items() if task.stage == "decode"} == {(1920, 1088)}


def test_ten_thousand_tasks_are_looked_at_in_a_second():
    tasks = plan(*(large() if idx == 0 else video(f"v{idx}", width=1920, height=1088, seed=idx) for idx in range(1400)))
    begun = time.process_time()
    assert len(costs_of(tasks, [FULL])) > 8000
    assert time.process_time() - begun < 5.0  # it takes a tenth of that


def test_work_sums_seconds_by_stage_and_names_what_the_longest_chain_takes_of_them():
    tasks = plan(video(), video("owl", seed=8))
    costs = costs_of(tasks, [FULL])
    work = work_of(tasks, seconds=lambda task: 2.0, costs=costs, size=lambda each: size_of(each, [FULL]))
    chain = chain_of(tasks, lambda task: 2.0)
    assert work.stages["generate"].num_tasks == 2 and work.stages["generate"].seconds == 4.0
    assert sum(each.chain_s for each in work.stages.values()) == 2.0 * len(chain)
    assert [tasks[key].stage for key in chain][-1] == "stitch"
    (load,) = work.stages["refine"].loads
    assert [part.part for part in load.parts] == ["transformer"]
    assert load.activation_bytes == max(each.peak_bytes for each in of_stage(tasks, costs, "refine"))


def test_seconds_are_by_flops_and_the_card_and_corrected_by_what_was_measured():
    tasks = plan(large())
    refine = next(task for task in tasks.values() if task.stage == "refine")
    seconds = Seconds({refine.key: Cost(989e12 * 0.4 * 10, 0)})
    assert seconds.on_reference(refine) == pytest.approx(10.0)
    assert seconds.on(refine, "NVIDIA GeForce RTX 4090") == pytest.approx(10.0 * 989 / 165)
    measured = [Measured(refine, "NVIDIA H100 PCIe", 26.16)]
    assert seconds.corrected(measured * (MIN_MEASURED - 1)).factors == {}
    corrected = seconds.corrected(measured * MIN_MEASURED)
    assert corrected.on(refine, "NVIDIA H100 PCIe") == pytest.approx(26.16)
    assert corrected.on(refine, "NVIDIA H100 80GB HBM3") == pytest.approx(10.0)


def test_what_is_not_known_takes_the_round_figure_of_its_stage_and_no_encoder():
    tasks = plan(facts=FACTS)
    decode = next(task for task in tasks.values() if task.stage == "decode")
    assert Seconds({}).on_reference(decode) == 6.0 and Seconds({}).on_host(decode) == 0.0
    assert Seconds({}, pictures_of(tasks)).on_host(decode) > 0.0
    assert MODELS["toy"] is FACTS
