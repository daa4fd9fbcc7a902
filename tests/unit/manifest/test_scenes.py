"""What a scene says itself, what it takes from its video, and what only the video can say."""

from fractions import Fraction

import pytest

from ltx_ray.manifest.presets import PRESETS
from ltx_ray.manifest.scenes import UNUSED_NEGATIVE
from ltx_ray.manifest.schema import Segment
from ltx_ray.spec.sigmas import DISTILLED, shifted
from tests.unit.manifest.cards import CARD, LTX_MODELS


@pytest.fixture
def scenes(load):
    """The scenes of a video with some keys, for the models of the LTX-2 families; full-2.3 unless it says another."""

    def scenes(parts, keys="", *overrides):
        text = f"model: full-2.3\nvideos: [{{id: sea, {keys}scenes: [{parts}]}}]"
        return load(text, *overrides, models=LTX_MODELS).videos[0].scenes

    return scenes


@pytest.fixture
def wrong(sentences):
    """What is wrong with the scenes of such a video, without the name of the place."""

    def wrong(parts, keys="", *overrides):
        text = f"model: full-2.3\nvideos: [{{id: sea, {keys}scenes: [{parts}]}}]"
        found = sentences(text, *overrides, models=LTX_MODELS)
        return [line.removeprefix("demo.yaml: videos[0] 'sea'.") for line in found]

    return wrong


def test_a_scene_takes_segments_and_sampling_from_its_video(scenes):
    first, second = scenes("{prompt: a}, {prompt: b}", "preset: dev, segment: {frames: 97}, ")
    assert first.segment is second.segment
    assert (first.stage1, first.refine) == (second.stage1, second.refine)
    assert first.segment == Segment(frames=97, connector=25, overshoot=0, strength=1.0)


def test_what_a_scene_says_of_segments_wins_key_by_key(scenes):
    _, own = scenes("{prompt: a}, {prompt: b, segment: {overshoot: 8}}", "segment: {frames: 97, connector: 17}, ")
    assert own.segment == Segment(frames=97, connector=17, overshoot=8)


def test_a_scene_may_have_steps_of_its_own_over_the_schedule_of_its_video(scenes):
    plain, own = scenes("{prompt: a}, {prompt: b, stage1: {steps: 12}}", "preset: dev, ")
    assert (plain.stage1.sigmas, own.stage1.sigmas) == (shifted(30), shifted(12))
    assert own.stage1.guidance == plain.stage1.guidance
    assert own.refine == plain.refine


def test_the_preset_of_a_scene_stands_in_for_all_the_sampling_of_its_video(scenes):
    _, own = scenes("{prompt: a}, {prompt: b, preset: distilled}", "preset: dev, stage1: {steps: 9}, ")
    assert (own.stage1.sigmas, own.stage1.guidance) == (DISTILLED, None)


def test_the_keys_of_a_scene_win_over_its_preset(scenes):
    (own,) = scenes("{prompt: a, preset: dev, stage1: {steps: 9, guidance: null}}")
    assert (own.stage1.sigmas, own.stage1.guidance) == (shifted(9), None)


def test_the_preset_of_a_scene_leaves_everything_else_to_the_video(load):
    text = "model: full-2.3\nvideos: [{preset: dev, scenes: [{prompt: a, preset: portrait-1080p}]}]"
    (video,) = load(text, models=LTX_MODELS).videos
    assert (video.preset, video.width, video.frame_rate, video.output.crop) == ("dev", 768, Fraction(24), None)
    assert video.scenes[0].stage1.sampler == "dpmpp_2m"


def test_a_negative_prompt_is_kept_for_the_scenes_that_read_it(scenes):
    guided, free = scenes("{prompt: a}, {prompt: b, preset: distilled}", "preset: dev, negative_prompt: fog, ")
    assert (guided.negative_prompt, free.negative_prompt) == ("fog", "")


def test_a_negative_prompt_that_its_scene_does_not_read_is_said(load):
    text = "model: full-2.3\nvideos: [{id: sea, scenes: [{prompt: a, negative_prompt: fog}, {prompt: b, preset: dev}]}]"
    assert load(text, models=LTX_MODELS).notes == (
        f"demo.yaml: videos[0] 'sea'.scenes[0].negative_prompt: {UNUSED_NEGATIVE}",
    )


def test_equal_parts_of_scenes_are_shared(scenes):
    first, second = scenes(", ".join(["{prompt: a, segment: {frames: 97}, stage1: {sampler: res_2s}}"] * 2))
    assert first.segment is second.segment
    assert first.stage1 is second.stage1


def test_a_scene_may_have_any_number_of_frames_and_a_video_alone_only_those_of_one_call(scenes, of_video):
    assert [scene.num_frames for scene in scenes("{prompt: a, num_frames: 1}, {prompt: b, num_frames: 700}")] == [
        1,
        700,
    ]
    assert of_video("num_frames: 700") == ["num_frames: 700 is not 8n+1; nearest are 697 and 705"]


@pytest.mark.parametrize("spelling", ["scenes.1.stage1.steps=12", "scenes[1].stage1.steps=12"])
def test_any_key_of_a_scene_can_be_given_on_the_command_line(scenes, spelling):
    plain, own = scenes("{prompt: a}, {prompt: b, stage1: {steps: 3}}", "preset: dev, ", f"sea:{spelling}")
    assert (plain.stage1.sigmas, own.stage1.sigmas) == (shifted(30), shifted(12))


def test_a_later_schedule_of_a_scene_replaces_its_sigmas(scenes):
    (own,) = scenes("{prompt: a, stage1: {sigmas: [1, 0]}}", "", "scenes.0.stage1.schedule=distilled")
    assert own.stage1.sigmas == DISTILLED


def test_keys_of_scenes_can_be_columns_nested_and_dotted(load):
    table = "scenes.0.prompt,scenes.0.segment.frames,scenes.1.prompt,scenes.1.segment\na,97,b,{connector: 17}\n"
    first, second = load(table, name="rows.csv").videos[0].scenes
    assert (first.segment.frames, second.segment.connector) == (97, 17)


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ("segment: {frames: 120}", "segment.frames: 120 is not 8n+1; nearest are 113 and 121"),
        ("segment: {connector: 24}", "segment.connector: 24 is not 8n+1; nearest are 17 and 25"),
        ("segment: {overshoot: 3}", "segment.overshoot: 3 is not a multiple of 8; nearest are 0 and 8"),
        (
            "segment: {connector: 97}",
            "segment.frames: 97 leaves nothing new after connector 97 and overshoot 0; at least 105 are needed",
        ),
        ("segment: {strength: 2}", "segment.strength: 2 is not a strength between 0 and 1; nearest is 1"),
        ("segment: 3", "segment: 3 is not a mapping with the keys frames, connector, overshoot, strength"),
        ("segment: {length: 3}", "segment.length: is not a key here; nearest is strength"),
        ("stage1: {steps: 1}", "stage1.steps: 1 is too few for the schedule shifted; at least 2"),
        ("stage1: {sigmas: [1, 0], steps: 2}", "stage1.steps: is given beside sigmas; keep one of them"),
        (
            "preset: distilled, stage1: {steps: 4}",
            "stage1.steps: 4 steps do not go with the schedule distilled, which has 8; shifted has any",
        ),
        (
            "stage1.guidance: {stg_blocks: [48]}",
            "stage1.guidance.stg_blocks: 48 is not a block of full-2.3, which has 0 to 47; nearest is 47",
        ),
        ("preset: distiled", "preset: 'distiled' is not a preset of full-2.3; nearest is distilled"),
        ("preset: 3", "preset: 3 is not a preset"),
        ("refine: null", "refine: a scene alone cannot be a draft; set refine to null for the whole video"),
        ("refine: false", "refine: a scene alone cannot be a draft; set refine to null for the whole video"),
        ("preset: draft", "preset: draft leaves out stage 2; all scenes of a video are drafts or none is"),
        ("refine: alternate", "refine.order: is a key of the whole video; put it beside scenes"),
        ("refine: {order: chain}", "refine.order: is a key of the whole video; put it beside scenes"),
        ("chain: final", "chain: is a key of the whole video; put it beside scenes"),
        ("extend: {path: a.mp4}", "extend: is a key of the whole video; put it beside scenes"),
        ("output.crf: 20", "output.crf: is a key of the whole video; put it beside scenes"),
        ("num_frames: 0", "num_frames: 0 is not a whole number between 1 and 10368000"),
        ("promt: b", "promt: is not a key here; nearest is prompt"),
    ],
)
def test_the_rules_of_a_video_hold_for_a_scene_where_it_stands(wrong, part, found):
    keys = "preset: dev, segment: {frames: 97}, "
    assert wrong(f"{{prompt: a}}, {{prompt: b, {part}}}", keys) == [f"scenes[1].{found}"]


def test_a_scene_cannot_refine_in_a_draft(wrong):
    what = "stage 2 does not run in a draft, which the video is; all scenes of a video are drafts or none is"
    assert wrong("{prompt: a, refine: {sampler: res_2s}}, {prompt: b, preset: dev}", "refine: null, ") == [
        f"scenes[0].refine.sampler: {what}",
        f"scenes[1].preset: {what}",
    ]


def test_scenes_of_a_draft_may_name_it(scenes):
    assert [scene.refine for scene in scenes("{prompt: a}, {prompt: b, preset: draft}", "preset: draft, ")] == [
        None
    ] * 2


def test_what_is_wrong_with_the_video_is_not_said_of_its_scenes_again(wrong):
    keys = "preset: dev, segment: {connector: 24}, stage1: {schedule: distilled, steps: 3}, "
    assert wrong("{prompt: a, segment: {frames: 97}, stage1: {sampler: res_2s}}, {prompt: b}", keys) == [
        "segment.connector: 24 is not 8n+1; nearest are 17 and 25",
        "stage1.steps: 3 steps do not go with the schedule distilled, which has 8; shifted has any",
    ]


def test_a_bad_key_of_a_scene_is_told_of_the_place_that_gives_it(sentences):
    text = "videos: [{id: sea, scenes: [{prompt: a}, {prompt: b}]}]"
    assert sentences(text, "sea:scenes[1].segment.frames=9", "scenes.0.seconds=0.01") == [
        "command line: sea:scenes[1].segment.frames: 9 leaves nothing new after connector 25 and overshoot 0; "
        "at least 33 are needed",
        "command line: scenes[0].seconds: 0.01 is less than one frame; at this rate a frame takes 0.0417 seconds",
    ]


def test_refused_groups_of_a_scene_and_of_its_video_are_said_once(wrong):
    found = wrong(
        "{prompt: a, refine: 3, stage1: 4, preset: dev}, {prompt: b, refine: {sampler: euler}}", "refine: 5, "
    )
    assert [line.split(":")[0] for line in found] == ["refine", "scenes[0].refine", "scenes[0].stage1"]


@pytest.mark.parametrize("preset", PRESETS["testcard"])
def test_every_preset_of_the_card_is_one_for_scenes_too(load, preset):
    video = "preset: draft, " if preset == "draft" else ""
    (made,) = load(f"videos: [{{{video}scenes: [{{prompt: a, preset: {preset}}}]}}]", models={"testcard": CARD}).videos
    assert made.scenes[0].stage1.sigmas == (1.0, 0.725, 0.421875, 0.0)
