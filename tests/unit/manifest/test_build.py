"""Rules that join several keys of a video, or need its model."""

from dataclasses import replace
from fractions import Fraction

import pytest

from ltx_ray.spec.codecs import CODECS, Setting


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ("width: 700", ["width: 700 is not a multiple of 64; nearest are 640 and 704"]),
        ("height: 64", ["height: 64 is less than 128, the smallest testcard renders"]),
        ("width: 8191", ["width: 8191 is not a multiple of 64; nearest are 8128 and 8192"]),
        ("width: 8193", ["width: 8193 is not a whole number of pixels between 1 and 8192"]),
        ("model: widecard, width: 768, height: 129", ["height: 129 is not a multiple of 96; nearest is 192"]),
        ("num_frames: 700", ["num_frames: 700 is not 8n+1; nearest are 697 and 705"]),
        ("num_frames: 1", ["num_frames: 1 is not 8n+1; nearest are 9 and 17"]),
        ("seconds: 5, num_frames: 121", ["num_frames: is given beside seconds; keep one of them"]),
        (
            "seconds: 0.02",
            ["seconds: 0.02 is less than one frame; at this rate a frame takes 0.0417 seconds"],
        ),
        ("segment: {frames: 120}", ["segment.frames: 120 is not 8n+1; nearest are 113 and 121"]),
        ("segment: {connector: 24}", ["segment.connector: 24 is not 8n+1; nearest are 17 and 25"]),
        ("segment: {connector: 1}", ["segment.connector: 1 is not 8n+1; nearest are 9 and 17"]),
        ("segment: {overshoot: 3}", ["segment.overshoot: 3 is not a multiple of 8; nearest are 0 and 8"]),
        (
            "segment: {frames: 33, connector: 25, overshoot: 8}",
            ["segment.frames: 33 leaves nothing new after connector 25 and overshoot 8; at least 41 are needed"],
        ),
        ("preset: distiled", ["preset: 'distiled' is not a preset of testcard; nearest is distilled"]),
        ("preset: draft, audio_from: stage2", ["audio_from: stage2 does not run in a draft; take stage1"]),
        (
            "preset: draft, refine: {sampler: euler}",
            ["refine.schedule: is missing, and there are no sigmas; write stage2-distilled"],
        ),
        (
            "refine: 0.5",
            [
                "refine: 0.5 is not a mapping with the keys sampler, schedule, steps, sigmas, guidance, strength, "
                "order, or null for a draft, or one of chain, alternate"
            ],
        ),
        (
            "refine: {strength: 1.5}",
            ["refine.strength: 1.5 is not a strength between 0.05 and 1; nearest is 1"],
        ),
        (
            "stage1: {guidance: {video: 3}}",
            ["stage1.guidance.video: 3 is not a mapping with the keys cfg, stg, modality, rescale, stg_blocks"],
        ),
        ("stage1: {cfg: 3}", ["stage1.cfg: is not a key here; it can be guidance.video.cfg"]),
        ("stg_blocks: [3]", ["stg_blocks: is not a key here; it can be stage1.guidance.stg_blocks"]),
        (
            "output: {crop: 770x512}",
            ["output.crop: 770x512 is larger than the frame, 768x512; a crop fits inside it"],
        ),
        (
            "output: {crop: 768x514}",
            ["output.crop: 768x514 is larger than the frame, 768x512; a crop fits inside it"],
        ),
        ("output: {codec: ffv1}", ["output.path: 'fox.mp4' cannot hold ffv1; end it in .mkv"]),
        ("scenes: []", ["scenes: [] is not a list of 1 to 1000 scenes"]),
        ("scenes: 3", ["scenes: 3 is not a list of 1 to 1000 scenes"]),
    ],
)
def test_a_value_that_does_not_fit_the_rest_is_refused(of_video, keys, found):
    assert [line for line in of_video(keys) if not line.startswith("prompt: the video has")] == found


def test_a_video_without_a_prompt_is_refused(sentences):
    assert sentences("videos: [{id: fox}]") == [
        "demo.yaml: videos[0] 'fox'.prompt: is missing; a video needs a prompt, or scenes that each have one"
    ]


def test_a_scene_without_a_prompt_is_refused(sentences):
    assert sentences("videos: [{id: fox, scenes: [{prompt: p, seconds: 2}, {seconds: 3}]}]") == [
        "demo.yaml: videos[0] 'fox'.scenes[1].prompt: is missing; say what this scene shows"
    ]


def test_every_bad_number_of_a_video_is_said_at_once(of_video):
    assert of_video("width: .nan, height: -512, seed: true, seconds: .inf, output: {crf: '18'}") == [
        "width: nan is not a whole number of pixels",
        "height: -512 is not a whole number of pixels between 1 and 8192",
        "seed: true is not a whole number",
        "seconds: inf is not a number of seconds",
        "output.crf: '18' is text, not a whole number; write it without quotes",
    ]


def test_a_refused_size_does_not_make_the_crop_wrong_too(of_video):
    assert of_video("width: wide, output: {crop: 1080x512}") == ["width: 'wide' is not a whole number of pixels"]


def test_refine_null_makes_a_draft_that_takes_the_sound_of_stage1(load):
    for spelling in ("null", "false"):
        (video,) = load(f"videos: [{{prompt: p, refine: {spelling}}}]").videos
        assert (video.preset, video.scenes[0].refine, video.audio_from) == ("distilled", None, "stage1")


def test_presets_decide_refinement_and_where_the_sound_comes_from(load):
    videos = load(
        "videos: [{prompt: p, preset: distilled}, {prompt: p, preset: dev}, {prompt: p, preset: draft}]"
    ).videos
    assert [(video.scenes[0].refine is not None, video.audio_from) for video in videos] == [
        (True, "stage2"),
        (True, "stage1"),
        (False, "stage1"),
    ]


def test_a_crop_stays_in_pixels_of_the_final_size_in_a_draft(load):
    (video,) = load("videos: [{prompt: p, width: 1088, height: 1920, preset: draft, output: {crop: 1080x1920}}]").videos
    assert video.output.crop == (1080, 1920)


def test_scenes_take_from_the_defaults_what_they_do_not_say(load):
    (video,) = load(
        """
defaults: {seconds: 4, prompt: the sea, seed: 3}
videos: [{scenes: [{}, {num_frames: 49, seed: 9}, {prompt: the shore, seconds: 2.5, cut: true}]}]
"""
    ).videos
    assert [(scene.prompt, scene.seconds, scene.num_frames, scene.seed, scene.cut) for scene in video.scenes] == [
        ("the sea", Fraction(4), None, 3, False),
        ("the sea", None, 49, 9, False),
        ("the shore", Fraction(5, 2), None, 3, True),
    ]


def test_equal_parts_are_shared_between_videos(load):
    first, second = load("videos: [{prompt: a}, {prompt: b}]").videos
    assert first.scenes[0].stage1 is second.scenes[0].stage1
    assert first.scenes[0].refine is second.scenes[0].refine
    assert first.scenes[0].segment is second.scenes[0].segment


def test_the_seed_of_a_scene_may_be_zero(load):
    (video,) = load("videos: [{prompt: p, seed: 0}]").videos
    assert video.scenes[0].seed == 0


def test_a_setting_that_a_codec_does_not_have_is_left_out_and_said(load):
    manifest = load(
        "output: {path: '{id}.mkv', crf: 30, preset: slow, audio_bit_rate: 96000}\n"
        "videos: [{id: fox, prompt: p, output: {codec: ffv1}}, {id: owl, prompt: p}]"
    )
    outputs = [(video.output.crf, video.output.preset, video.output.audio_bit_rate) for video in manifest.videos]
    assert outputs == [(None, None, None), (30, "slow", None)]
    assert manifest.notes == (
        "demo.yaml: output.crf: ffv1 has none; 30 is left out",
        "demo.yaml: output.preset: ffv1 has none; slow is left out",
        "demo.yaml: output.audio_bit_rate: flac has none; 96000 is left out",
    )


def test_what_is_not_set_is_the_codec_s_default_and_nothing_is_said(load):
    manifest = load("videos: [{prompt: p}, {prompt: p, output: {path: '{id}.mkv', codec: ffv1}}]")
    outputs = [(video.output.crf, video.output.preset, video.output.audio_bit_rate) for video in manifest.videos]
    assert outputs == [(18, "medium", 192_000), (None, None, None)]
    assert manifest.notes == ()


def test_a_setting_keeps_to_the_bounds_of_its_own_codec(monkeypatch, load, of_video):
    narrow = replace(
        CODECS["h265"],
        crf=Setting("a whole number", range(20, 31), 25),
        presets=Setting("an encoder preset", ("fast", "slow"), "slow"),
    )
    monkeypatch.setitem(CODECS, "h265", narrow)
    (video,) = load("videos: [{prompt: p, output: {codec: h265}}]").videos
    assert (video.output.crf, video.output.preset) == (25, "slow")
    assert of_video("output: {codec: h265, crf: 18, preset: faster}") == [
        "output.crf: 18 is not a whole number between 20 and 30 for h265",
        "output.preset: 'faster' is not an encoder preset; nearest is fast for h265",
    ]
