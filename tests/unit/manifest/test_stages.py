"""``stages: one``: stage 1 at the final size."""

import pytest

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
