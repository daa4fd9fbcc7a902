"""Schedules and guidance: what the keys of stage1 and refine mean together, and for a model."""

from dataclasses import replace

import pytest

from ltx_ray.manifest.keys import SCHEDULES
from ltx_ray.manifest.presets import NEGATIVE_PROMPT
from ltx_ray.spec.recipe import Guidance, GuidanceScales
from ltx_ray.spec.sigmas import (
    DISTILLED,
    STAGE_2_DISTILLED,
    ShiftedByTokens,
    linear_quadratic,
    shifted,
)
from tests.unit.manifest.cards import CARD, LTX_MODELS


@pytest.fixture
def made(load):
    """The videos of a text, for the models of the LTX-2 families; full-2.3 unless it says another."""
    return lambda text, *overrides: load(f"model: full-2.3\n{text}", *overrides, models=LTX_MODELS).videos


@pytest.fixture
def wrong(sentences):
    """What is wrong with a text, without the name of the file."""

    def wrong(text, *overrides, models=LTX_MODELS):
        found = sentences(f"model: {next(iter(models))}\n{text}", *overrides, models=models)
        return [line.removeprefix("demo.yaml: ") for line in found]

    return wrong


@pytest.mark.parametrize(
    ("keys", "sigmas"),
    [
        ("schedule: distilled", DISTILLED),
        ("schedule: distilled, steps: 8", DISTILLED),
        ("schedule: stage2-distilled", STAGE_2_DISTILLED),
        ("schedule: shifted, steps: 12", shifted(12)),
        ("schedule: shifted-by-tokens, steps: 12", ShiftedByTokens(12)),
        ("schedule: linear-quadratic, steps: 1", linear_quadratic(1)),
        ("sigmas: [1, 0.5, 0]", (1.0, 0.5, 0.0)),
    ],
)
@pytest.mark.parametrize("preset", ["dev", "portrait-1080p"])
def test_a_schedule_is_its_noise_levels_in_both_stages_whatever_the_preset_says(made, keys, sigmas, preset):
    text = f"videos: [{{prompt: p, preset: {preset}, stage1: {{{keys}}}, refine: {{{keys}}}}}]"
    (video,) = made(text)
    assert (video.scenes[0].stage1.sigmas, video.scenes[0].refine.sigmas) == (sigmas, sigmas)


def test_every_schedule_of_the_keys_has_noise_levels(made):
    for schedule in SCHEDULES:
        assert made(f"videos: [{{prompt: p, preset: dev, stage1.schedule: {schedule}}}]")


def test_steps_alone_keep_the_schedule_of_the_preset(made):
    (dev, hq) = made("defaults: {stage1.steps: 4}\nvideos: [{prompt: p, preset: dev}, {prompt: q, preset: hq}]")
    assert (dev.scenes[0].stage1.sigmas, hq.scenes[0].stage1.sigmas) == (shifted(4), ShiftedByTokens(4))


def test_a_schedule_alone_keeps_the_steps_of_a_weaker_place(made):
    (video,) = made(
        "defaults: {stage1.steps: 4}\nvideos: [{prompt: p, preset: dev}]", "stage1.schedule=linear-quadratic"
    )
    assert video.scenes[0].stage1.sigmas == linear_quadratic(4)


def test_the_strongest_place_decides_between_sigmas_and_a_schedule(made):
    text = "defaults: {stage1: {sigmas: [1, 0.5, 0]}}\nvideos: [{id: a, prompt: p, preset: dev}]"
    assert made(text)[0].scenes[0].stage1.sigmas == (1.0, 0.5, 0.0)
    assert made(text, "stage1.steps=3")[0].scenes[0].stage1.sigmas == shifted(3)
    assert made(text, "stage1.schedule=distilled")[0].scenes[0].stage1.sigmas == DISTILLED
    assert made(text, "stage1.steps=3", "a:stage1.sigmas=[1, 0]")[0].scenes[0].stage1.sigmas == (1.0, 0.0)


def test_a_fixed_schedule_takes_back_the_steps_of_a_weaker_place(made):
    text = "defaults: {stage1.steps: 12}\nvideos: [{prompt: p, preset: dev, stage1.schedule: distilled}]"
    assert made(text)[0].scenes[0].stage1.sigmas == DISTILLED


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "videos: [{prompt: p, id: a, stage1: {sigmas: [1, 0], steps: 3, schedule: shifted}}]",
            [
                "videos[0] 'a'.stage1.steps: is given beside sigmas; keep one of them",
                "videos[0] 'a'.stage1.schedule: is given beside sigmas; keep one of them",
            ],
        ),
        (
            "videos: [{prompt: p, id: a, refine: {sigmas: [1, 0], steps: 3}}]",
            ["videos[0] 'a'.refine.steps: is given beside sigmas; keep one of them"],
        ),
        (
            "defaults: {stage1.steps: 4}\nvideos: [{prompt: p}, {prompt: q}]",
            ["defaults.stage1.steps: 4 steps do not go with the schedule distilled, which has 8; shifted has any"],
        ),
        (
            "defaults: {stage1: {schedule: shifted, steps: 1}}\nvideos: [{prompt: p}]",
            ["defaults.stage1.steps: 1 is too few for the schedule shifted; at least 2"],
        ),
        (
            "defaults: {stage1.steps: 0}\nvideos: [{prompt: p}]",
            ["defaults.stage1.steps: 0 is not a whole number between 1 and 1000"],
        ),
        (
            "defaults: {refine.schedule: distiled}\nvideos: [{prompt: p}]",
            ["defaults.refine.schedule: 'distiled' is not a schedule; nearest is distilled"],
        ),
        (
            "defaults: {preset: draft, refine.schedule: shifted}\nvideos: [{prompt: p}]",
            ["defaults.refine.schedule: shifted needs a number of steps; write steps beside it, such as 30"],
        ),
        (
            "defaults: {preset: draft, refine.steps: 3}\nvideos: [{prompt: p}]",
            ["defaults.refine.steps: 3 steps of no schedule; write schedule beside them, such as shifted"],
        ),
        (
            "sweep: {stage1.sigmas: [[1, 0]], stage1.steps: [3]}\nvideos: [{prompt: p, preset: dev}]",
            ["sweep.stage1.steps: is swept beside sigmas; keep one of them"],
        ),
    ],
)
def test_steps_that_do_not_fit_their_schedule_are_refused_where_they_are_written(wrong, text, found):
    assert wrong(text) == found


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ("video.cfg: 0.5", "video.cfg: 0.5 is not a guidance scale between 1 and 30; nearest is 1"),
        ("video.cfg: 35", "video.cfg: 35 is not a guidance scale between 1 and 30; nearest is 30"),
        ("audio.cfg: .nan", "audio.cfg: nan is not a guidance scale"),
        ("audio.stg: -1", "audio.stg: -1 is not a guidance scale between 0 and 30; nearest is 0"),
        ("video.modality: 0", "video.modality: 0 is not a guidance scale between 1 and 30; nearest is 1"),
        ("video.rescale: 1.5", "video.rescale: 1.5 is not a share between 0 and 1; nearest is 1"),
        ("video.cfg: true", "video.cfg: true is not a guidance scale"),
        ("video.cfg: '3'", "video.cfg: '3' is text, not a guidance scale; write it without quotes"),
        ("stg_blocks: []", "stg_blocks: [] is not a list of blocks such as [28]"),
        ("stg_blocks: 28", "stg_blocks: 28 is not a list of blocks such as [28]"),
        ("stg_blocks: [-1]", "stg_blocks: -1 is not a block between 0 and 999"),
        ("stg_blocks: [3, 3]", "stg_blocks: [3, 3] names a block twice; name each once"),
        ("stg_blocks: [1, 60, 48]", "stg_blocks: 60 is not a block of full-2, which has 0 to 47; nearest is 47"),
        ("video.amount: 3", "video.amount: is not a key here; it can be cfg, stg, modality, rescale, stg_blocks"),
    ],
)
def test_a_scale_out_of_its_range_is_refused(wrong, keys, found):
    text = f"defaults: {{stage1.guidance.{keys}}}\nvideos: [{{prompt: p, preset: dev}}]"
    assert wrong(text) == [f"defaults.stage1.guidance.{found}"]


def test_scales_win_key_by_key_over_those_of_the_preset(made):
    text = "videos: [{prompt: p, preset: dev, stage1: {guidance: {video: {cfg: 4}, stg_blocks: [9, 5]}}}]"
    (video,) = made(text, "stage1.guidance.audio.rescale=0")
    assert video.scenes[0].stage1.guidance == Guidance(
        video=GuidanceScales(cfg=4.0, stg=1.0, modality=3.0, rescale=0.7),
        audio=GuidanceScales(cfg=7.0, stg=1.0, modality=3.0, rescale=0.0),
        stg_blocks=(5, 9),
    )


def test_refine_can_be_guided_too(made):
    (video,) = made("videos: [{prompt: p, refine: {guidance: {audio: {cfg: 2}}}}]")
    assert video.scenes[0].stage1.guidance is None
    assert video.scenes[0].refine.guidance == Guidance(audio=GuidanceScales(cfg=2.0))
    assert video.scenes[0].negative_prompt == NEGATIVE_PROMPT


def test_guidance_that_changes_nothing_is_none(made):
    off = "{cfg: 1, stg: 0, modality: 1}"  # rescale and blocks of the preset stay, with nothing to act on
    (video,) = made(f"videos: [{{prompt: p, preset: dev, stage1.guidance: {{video: {off}, audio: {off}}}}}]")
    assert video.scenes[0].stage1.guidance is None


def test_what_guidance_would_not_read_is_no_part_of_it(made):
    text = "videos: [{prompt: p, stage1.guidance: {video: {cfg: 3}, audio: {rescale: 0.5}, stg_blocks: [4]}}]"
    assert made(text)[0].scenes[0].stage1.guidance == Guidance(video=GuidanceScales(cfg=3.0))


def test_a_whole_number_is_the_scale_of_its_decimal(made):
    (video,) = made("videos: [{prompt: p, stage1.guidance.video.cfg: 17}]")
    assert repr(video.scenes[0].stage1.guidance.video.cfg) == "17.0"


@pytest.mark.parametrize("nothing", ["null", "false"])
def test_null_turns_the_guidance_of_a_preset_off_and_any_key_of_it_takes_that_back(made, nothing):
    text = f"defaults: {{preset: dev, stage1: {{guidance: {nothing}}}}}\nvideos: [{{id: a, prompt: p}}]"
    assert made(text)[0].scenes[0].stage1.guidance is None
    (again,) = made(text, "stage1.guidance.video.cfg=2")
    assert (again.scenes[0].stage1.guidance.video.cfg, again.scenes[0].stage1.guidance.audio.cfg) == (2.0, 7.0)


def test_a_row_may_say_null_for_guidance(load):
    row = '{"prompt": "p", "model": "full-2.3", "preset": "dev", "stage1.guidance": null, "seconds": null}'
    assert load(row, name="demo.jsonl", models=LTX_MODELS).videos[0].scenes[0].stage1.guidance is None


def test_null_and_keys_of_guidance_in_one_place_are_refused(wrong):
    text = "videos: [{id: a, prompt: p, stage1.guidance: null, stage1.guidance.video.cfg: 3}]"
    assert wrong(text) == [
        "videos[0] 'a'.stage1.guidance: is null beside keys of stage1.guidance; keep one of them",
    ]


def test_stg_without_blocks_is_refused_where_it_is_written(wrong):
    text = "defaults: {stage1.guidance.audio.stg: 1}\nvideos: [{prompt: p}, {prompt: q}]"
    assert wrong(text) == [
        "defaults.stage1.guidance.audio.stg: 1 needs blocks to leave self-attention out of; "
        "write stage1.guidance.stg_blocks, such as [28]",
    ]


def test_a_model_that_cannot_be_guided_says_so(wrong):
    text = "defaults: {stage1.guidance.audio.modality: 2}\nvideos: [{prompt: p}]"
    assert wrong(text, models={"testcard": replace(CARD, num_blocks=0)}) == [
        "defaults.stage1.guidance.audio.modality: testcard cannot be guided; set stage1.guidance to null"
    ]


def test_a_preset_falls_back_to_the_last_block_of_a_small_model_and_says_so_once(load):
    text = "model: tiny-2.3\nvideos: [{id: a, prompt: p, preset: dev}, {id: b, prompt: p, preset: dev}]"
    manifest = load(text, models=LTX_MODELS)
    assert [video.scenes[0].stage1.guidance.stg_blocks for video in manifest.videos] == [(2,), (2,)]
    assert manifest.notes == (
        "demo.yaml: videos[0] 'a'.preset and 1 more: dev guides with block 28; tiny-2.3 has 0 to 2, so it "
        "guides with 2",
    )


def test_a_block_that_is_written_is_never_changed(wrong):
    text = "videos: [{id: a, model: tiny-2.3, prompt: p, preset: dev, stage1: {guidance: {stg_blocks: [1, 3]}}}]"
    assert wrong(text) == [
        "videos[0] 'a'.stage1.guidance.stg_blocks: 3 is not a block of tiny-2.3, which has 0 to 2; nearest is 2"
    ]


def test_a_model_of_unknown_depth_takes_any_block(made):
    (video,) = made("videos: [{prompt: p, model: full-2.5, preset: dev, stage1.guidance.stg_blocks: [900]}]")
    assert video.scenes[0].stage1.guidance.stg_blocks == (900,)


def test_a_refinement_from_pure_noise_is_said(load):
    text = "model: full-2\nvideos: [{id: a, prompt: p}, {id: b, prompt: p, refine: {schedule: shifted, steps: 3}}]"
    assert load(text, models=LTX_MODELS).notes == (
        "demo.yaml: videos[1] 'b'.refine.schedule: begins at 1.0, which leaves nothing of stage 1; 0.909375 is usual",
    )


def test_a_negative_prompt_is_read_as_written_from_every_place(load):
    text = """
defaults: {model: full-2.3, preset: dev, negative_prompt: "a $5 ${watermark}"}
videos:
  - {prompt: p}
  - {prompt: p, negative_prompt: ""}
  - scenes: [{prompt: p, seconds: 1}, {prompt: q, seconds: 1, negative_prompt: "fog: none", cut: true}]
"""
    manifest = load(text, models=LTX_MODELS)
    assert [[scene.negative_prompt for scene in video.scenes] for video in manifest.videos] == [
        ["a $5 ${watermark}"],
        [""],
        ["a $5 ${watermark}", "fog: none"],
    ]
    assert manifest.notes == ()
    overridden = load(text, "negative_prompt=012", models=LTX_MODELS).videos
    assert overridden[0].scenes[0].negative_prompt == "012"


def test_a_negative_prompt_that_nothing_reads_is_said_once(load):
    text = """
model: full-2.3
defaults: {seconds: 1}
videos:
  - {id: a, prompt: p, preset: dev, negative_prompt: fog}
  - {id: b, scenes: [{prompt: p, negative_prompt: fog}]}
  - {id: c, prompt: p, negative_prompt: rain}
"""
    manifest = load(text, models=LTX_MODELS)
    assert manifest.notes == (
        "demo.yaml: videos[1] 'b'.scenes[0].negative_prompt and 1 more: changes nothing, because no guidance is away "
        "from it; stage1.guidance.video.cfg above 1 is",
    )
    assert [video.scenes[0].negative_prompt for video in manifest.videos] == ["fog", "", ""]


def test_a_negative_prompt_that_is_not_text_is_refused(wrong):
    assert wrong("defaults: {negative_prompt: 3}\nvideos: [{prompt: p}]") == [
        "defaults.negative_prompt: 3 is not text; write the prompt in quotes"
    ]


def test_scales_can_be_swept_nested_or_dotted(made):
    text = "sweep: {stage1: {guidance: {video: {cfg: [3, 4.5]}}}, negative_prompt: [fog]}\nvideos: [{id: a, prompt: p}]"
    assert [(video.id, video.scenes[0].stage1.guidance.video.cfg) for video in made(text)] == [
        ("a-cfg3-negative_prompt1", 3.0),
        ("a-cfg4.5-negative_prompt1", 4.5),
    ]


def test_each_modality_can_have_blocks_of_its_own_over_those_of_both(made, wrong):
    text = "videos: [{prompt: p, preset: dev, stage1.guidance.audio.stg_blocks: [9]}]"
    guidance = made(text)[0].scenes[0].stage1.guidance
    assert (guidance.skip_video, guidance.skip_audio) == ((28,), (9,))
    both = made(text, "stage1.guidance.stg_blocks=[5]")[0].scenes[0].stage1.guidance
    assert (both.stg_blocks, both.audio_stg_blocks) == ((5,), ())
    same = made(text, "stage1.guidance.video.stg_blocks=[9]")[0].scenes[0].stage1.guidance
    assert (same.stg_blocks, same.audio_stg_blocks) == ((9,), ())
    assert wrong(text, "stage1.guidance.video.stg_blocks=[48]") == [
        "command line: stage1.guidance.video.stg_blocks: 48 is not a block of full-2, which has 0 to 47; nearest is 47"
    ]
