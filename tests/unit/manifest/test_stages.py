"""``stages: one``: stage 1 at the final size."""

from dataclasses import replace

import pytest

from ltx_ray.models.ltx2.tiny_facts import TINY as TINY_FACTS
from tests.unit.manifest.cards import MODELS

ONE = "stages: one"


def test_a_single_pass_leaves_out_the_stage_2_of_its_preset_and_takes_the_sound_of_stage_1(load):
    (video,) = load(f"videos: [{{prompt: p, {ONE}, width: 160, height: 224}}]").videos
    assert video.is_single_pass and video.is_draft and video.audio_from == "stage1"
    assert load("videos: [{prompt: p}]").videos[0].stages == "two"


def test_scenes_with_presets_of_their_own_are_in_a_single_pass_too(load):
    scenes = "[{prompt: p, seconds: 1}, {prompt: q, seconds: 1, preset: dev}]"
    (video,) = load(f"videos: [{{{ONE}, scenes: {scenes}}}]").videos
    assert [scene.refine for scene in video.scenes] == [None, None]


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ("width: 250", "width: 250 is not a multiple of 32; nearest are 224 and 256"),
        ("refine.sampler: euler", "refine.sampler: is of stage 2, which stages: one leaves out; take one of them out"),
        ("refine: alternate", "refine.order: alternate is an order of stage 2, and a draft has none; take chain"),
        ("audio_from: stage2", "audio_from: stage2 does not run in a draft; take stage1"),
    ],
)
def test_what_a_single_pass_cannot_have_is_refused(of_video, keys, sentence):
    assert of_video(f"{ONE}, {keys}") == [sentence]


def test_a_wrong_number_of_stages_is_refused(of_video):
    (line,) = of_video("stages: three")
    assert line.startswith("stages: 'three' is not a number of stages")


def test_a_scene_cannot_bring_stage_2_back(sentences):
    scenes = "[{prompt: p, seconds: 1, refine.steps: 2}]"
    (line,) = sentences(f"videos: [{{id: a, {ONE}, scenes: {scenes}}}]")
    assert line.startswith("demo.yaml: videos[0] 'a'.scenes[0].refine.steps: stage 2 does not run")


TINY = {"tiny-2.3": TINY_FACTS["2.3"], "bare": replace(TINY_FACTS["2.3"], name="bare", weights=(), upsamplers=())}


@pytest.fixture
def wrong(sentences):
    def wrong(model, keys):
        found = sentences(f"videos: [{{id: fox, prompt: p, model: {model}, {keys}}}]", models=MODELS | TINY)
        return [line.removeprefix("demo.yaml: videos[0] 'fox'.") for line in found]

    return wrong


def test_an_upsampler_is_chosen_and_decides_which_sizes_there_are(load):
    text = "videos: [{prompt: p, model: tiny-2.3, upsampler: x1.5, width: 192, height: 96}]"
    (video,) = load(text, models=TINY).videos
    facts = video.seen_by(TINY["tiny-2.3"])
    assert (facts.video.stage1_px(192), facts.video.stage1_px(96)) == (128, 64)


def test_the_upsampler_that_a_model_has_anyway_is_the_same_video_as_none(load):
    def read(keys):
        return load(
            f"videos: [{{id: fox, prompt: p, model: tiny-2.3, width: 192, height: 192{keys}}}]", models=TINY
        ).videos

    assert read(", upsampler: x2") == read("")
    assert read(", upsampler: x1.5") != read("")


WRONG = {
    ("tiny-2.3", "upsampler: x1.5, width: 256, height: 96"): "width: 256 is not a multiple of 96; nearest are",
    ("testcard", "upsampler: x1.5"): "upsampler: testcard has no x1.5; models.yaml names none for it",
    ("tiny-2.3", "upsampler: x2, stages: one"): "upsampler: x2 is between two stages, and there is one",
    (
        "bare",
        "seconds: 1",
    ): "stages: two needs a latent upscaler, and bare has none; give it as upscaler in models.yaml",
}


@pytest.mark.parametrize(("model", "keys"), WRONG)
def test_an_upsampler_that_cannot_be_is_refused(wrong, model, keys):
    (found,) = wrong(model, keys)
    assert found.startswith(WRONG[model, keys])


def test_without_an_upscaler_one_pass_and_drafts_are_planned(load):
    text = "videos: [{prompt: p, model: bare, stages: one}, {prompt: p, model: bare, preset: draft}]"
    assert len(load(text, models=TINY).videos) == 2
