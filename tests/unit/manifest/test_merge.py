"""Which place wins."""

from fractions import Fraction


def test_each_place_wins_over_the_ones_before_it(load):
    text = """
model: testcard
output: {crf: 20, codec: h265}
defaults: {width: 640, height: 640, seed: 1, output: {codec: h264}}
videos: [{prompt: p, height: 896, frame_rate: 25}]
"""
    (video,) = load(text, "frame_rate=30").videos
    assert (video.output.crf, video.output.codec) == (20, "h264")
    assert (video.width, video.height, video.frame_rate, video.scenes[0].seed) == (640, 896, Fraction(30), 1)


def test_what_is_written_wins_over_the_preset_key_by_key(load):
    (video,) = load("defaults: {refine: {sigmas: [0.5, 0.0]}}\nvideos: [{prompt: p, audio_from: stage1}]").videos
    assert (video.scenes[0].refine.sampler, video.scenes[0].refine.sigmas, video.audio_from) == (
        "euler",
        (0.5, 0.0),
        "stage1",
    )


def test_the_preset_of_a_video_stands_below_the_defaults(load):
    (video,) = load("defaults: {stage1.sigmas: [1, 0]}\nvideos: [{prompt: p, preset: draft}]").videos
    assert (video.preset, video.scenes[0].stage1.sigmas, video.scenes[0].refine) == ("draft", (1.0, 0.0), None)


def test_a_length_replaces_a_length_said_the_other_way(load):
    (frames, seconds) = load("defaults: {num_frames: 49}\nvideos: [{prompt: p}, {prompt: p, seconds: 3}]").videos
    assert (frames.scenes[0].seconds, frames.scenes[0].num_frames) == (None, 49)
    assert (seconds.scenes[0].seconds, seconds.scenes[0].num_frames) == (Fraction(3), None)


def test_any_key_of_refine_takes_back_an_earlier_null(load):
    text = "defaults: {refine: null}\nvideos: [{prompt: p}, {prompt: p, refine: {sampler: res_2s}}]"
    draft, refined = load(text).videos
    assert (draft.scenes[0].refine, draft.audio_from) == (None, "stage1")
    assert (refined.scenes[0].refine.sampler, refined.scenes[0].refine.sigmas, refined.audio_from) == (
        "res_2s",
        (0.725, 0.421875, 0.0),
        "stage2",
    )


def test_null_and_keys_of_refine_in_one_place_are_refused(sentences):
    assert sentences("videos: [{id: fox, prompt: p, refine: null, refine.sampler: euler}]") == [
        "demo.yaml: videos[0] 'fox'.refine: is null beside keys of refine; keep one of them"
    ]


def test_scenes_replace_earlier_scenes_whole(load):
    (video,) = load("defaults: {scenes: [{prompt: a}, {prompt: b}]}\nvideos: [{scenes: [{prompt: c}]}]").videos
    assert [scene.prompt for scene in video.scenes] == ["c"]


def test_dotted_and_nested_keys_are_the_same_key_and_stand_once(load, sentences):
    (video,) = load("videos: [{prompt: p, output.crf: 30, output: {codec: h265}}]").videos
    assert (video.output.crf, video.output.codec) == (30, "h265")
    assert sentences("videos: [{id: fox, prompt: p, output.crf: 30, output: {crf: 20}}]") == [
        "demo.yaml: videos[0] 'fox'.output.crf: is given twice, dotted and nested; keep one of them"
    ]
