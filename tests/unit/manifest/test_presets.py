"""Presets as data: what they mean once resolved, and that their page says the same."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from ltx_ray.errors import PlanError
from ltx_ray.manifest.keys import VIDEO
from ltx_ray.manifest.preset_table import check_family, preset_table, preset_values
from ltx_ray.manifest.presets import NEGATIVE_PROMPT, NEGATIVE_PROMPT_2_5, PRESETS, UNSAID
from ltx_ray.manifest.schema import Sampling
from ltx_ray.spec.recipe import Guidance, GuidanceScales
from ltx_ray.spec.sigmas import DISTILLED, STAGE_2_DISTILLED, ShiftedByTokens, shifted
from tests.unit.manifest.cards import LTX_MODELS

PAGE = (Path(__file__).parents[3] / "docs/presets.md").read_text()
LTX = ("full-2", "full-2.3", "full-2.5")
EULER = Sampling(sampler="euler", sigmas=DISTILLED)
REFINE = Sampling(sampler="euler", sigmas=STAGE_2_DISTILLED)


@pytest.fixture
def video(load):
    """One video of a model and a preset."""

    def video(model, preset, *overrides):
        (made,) = load(
            f"videos: [{{prompt: p, model: {model}, preset: {preset}}}]", *overrides, models=LTX_MODELS
        ).videos
        return made

    return video


@pytest.mark.parametrize("model", LTX)
def test_distilled_is_eight_steps_and_three_without_guidance(video, model):
    made = video(model, "distilled")
    sampler = "euler_ancestral" if model == "full-2.5" else "euler"
    assert made.scenes[0].stage1 == replace(EULER, sampler=sampler)
    assert (made.scenes[0].refine, made.audio_from) == (REFINE, "stage2")


@pytest.mark.parametrize(("model", "steps", "block"), [("full-2", 40, 29), ("full-2.3", 30, 28), ("full-2.5", 30, 28)])
def test_dev_is_guided_in_stage_1_and_keeps_its_sound(video, model, steps, block):
    made = video(model, "dev")
    guidance = Guidance(
        video=GuidanceScales(cfg=3.0, stg=1.0, modality=3.0, rescale=0.7),
        audio=GuidanceScales(cfg=7.0, stg=1.0, modality=3.0, rescale=0.7),
        stg_blocks=(block,),
    )
    assert made.scenes[0].stage1 == Sampling(sampler="euler", sigmas=shifted(steps), guidance=guidance)
    assert (made.scenes[0].refine, made.audio_from) == (REFINE, "stage1")


@pytest.mark.parametrize("model", LTX)
def test_hq_is_second_order_shifted_by_size_and_has_no_blocks_in_its_key(video, model):
    made = video(model, "hq")
    guidance = Guidance(
        video=GuidanceScales(cfg=3.0, modality=3.0, rescale=0.45),
        audio=GuidanceScales(cfg=7.0, modality=3.0, rescale=1.0),
    )
    assert made.scenes[0].stage1 == Sampling(sampler="res_2s", sigmas=ShiftedByTokens(15), guidance=guidance)
    assert (made.scenes[0].refine, made.audio_from) == (replace(REFINE, sampler="res_2s"), "stage2")


@pytest.mark.parametrize("model", LTX)
def test_portrait_is_a_cropped_1080p_in_eight_steps_and_two(video, model):
    made = video(model, "portrait-1080p")
    assert (made.width, made.height, made.frame_rate, made.output.crop) == (1088, 1920, Fraction(30), (1080, 1920))
    assert made.scenes[0].stage1 == replace(EULER, sampler="dpmpp_2m")
    assert made.scenes[0].refine == Sampling(sampler="dpmpp_2m", sigmas=(0.909375, 0.421875, 0.0))
    assert made.audio_from == "stage2"


@pytest.mark.parametrize("model", [*LTX, "tiny-2.3"])
def test_a_draft_is_stage_1_of_the_full_render_so_that_nothing_is_generated_twice(video, model):
    full, draft = video(model, "distilled"), video(model, "draft")
    assert (draft.scenes[0].refine, draft.audio_from) == (None, "stage1")
    same = {"preset": "distilled", "scenes": full.scenes, "audio_from": full.audio_from, "output": full.output}
    assert replace(draft.scenes[0], refine=full.scenes[0].refine) == full.scenes[0]
    assert replace(draft, **same) == full


def test_the_negative_prompt_of_a_preset_is_carried_only_where_guidance_reads_it(video):
    assert video("full-2.3", "dev").scenes[0].negative_prompt == NEGATIVE_PROMPT
    assert video("full-2.3", "hq").scenes[0].negative_prompt == NEGATIVE_PROMPT
    assert video("full-2.5", "dev").scenes[0].negative_prompt == NEGATIVE_PROMPT_2_5
    assert NEGATIVE_PROMPT_2_5.startswith("has_subtitles, ") and NEGATIVE_PROMPT_2_5.endswith(NEGATIVE_PROMPT)
    assert video("full-2.3", "distilled").scenes[0].negative_prompt == ""
    guided = video("full-2.3", "distilled", "stage1.guidance.audio.cfg=2")
    assert guided.scenes[0].negative_prompt == NEGATIVE_PROMPT


def test_the_values_beside_a_preset_are_those_that_are_published():
    beside = {
        (family, name): tuple(preset[key] for key in UNSAID)
        for family, presets in PRESETS.items()
        if family != "testcard"
        for name, preset in presets.items()
    }
    crf = {"ltx-2": 33, "ltx-2.3": 33, "ltx-2.5": 18}
    loras = {"dev": (None, 1.0), "hq": (0.25, 0.5), "draft": (1.0, None)}
    assert beside == {(family, name): (*loras.get(name, (1.0, 1.0)), crf[family]) for family, name in beside}


def test_what_is_published_cannot_be_written_into_a_manifest(of_video):
    assert of_video("image_crf: 18") == ["image_crf: is not a key here; nearest is image"]


@pytest.mark.parametrize("family", PRESETS)
def test_every_value_of_a_preset_passes_the_rule_of_its_key(family):
    for name in PRESETS[family]:
        for key, plain in preset_values(family, name).items():
            if key not in (*UNSAID, "refine"):
                assert VIDEO.fields[key].rule(plain) == PRESETS[family][name][key]


@pytest.mark.parametrize("family", PRESETS)
def test_the_page_has_the_table_of_each_family(family):
    section = PAGE.split(f"## {family}\n")[1].split("\n## ")[0]
    cells = [tuple(cell.strip(" `") for cell in line.split("|")[1:-1]) for line in section.splitlines() if "|" in line]
    assert [cells[0], *cells[2:]] == preset_table(family)


def test_the_page_has_the_negative_prompt_whole():
    quoted = PAGE.split("## The negative prompt")[1].split("\n> ", maxsplit=1)[1]
    assert " ".join(quoted.replace("\n> ", " ").split()) == NEGATIVE_PROMPT


def test_an_unknown_family_is_refused_with_the_nearest():
    with pytest.raises(PlanError) as raised:
        check_family("ltx2.3")
    assert str(raised.value) == "--presets: 'ltx2.3' is not a family of models; nearest is ltx-2.3"


def test_a_crop_of_the_preset_that_does_not_fit_is_left_out_and_said(load):
    content = "model: tiny-2.3\nvideos: [{id: tall, prompt: p, preset: portrait-1080p, width: 576, height: 1024}]"
    manifest = load(content, models=LTX_MODELS)
    assert manifest.videos[0].output.crop is None
    assert manifest.notes[-1].endswith("output.crop: the preset's 1080x1920 is left out, it does not fit in 576x1024")
