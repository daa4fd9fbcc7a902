"""Keys of other programs are answered with ours."""

import pytest

from ltx_ray.manifest.keys import VIDEO
from ltx_ray.manifest.words import CALLED, INSTEAD


def test_every_answer_is_a_key_and_no_word_is_one():
    assert set(CALLED.values()) <= set(VIDEO.fields)
    assert not (CALLED.keys() | INSTEAD.keys()) & set(VIDEO.names)


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ("fps: 24", "fps: is not a key here; it is called frame_rate"),
        ("length: 97", "length: is not a key here; it is called num_frames"),
        ("num_inference_steps: 8", "num_inference_steps: is not a key here; it is called stage1.steps"),
        ("refine: {num_steps: 3}", "refine.num_steps: is not a key here; it is called refine.steps"),
        ("steps: 8", "steps: is not a key here; it can be stage1.steps"),
        ("guidance_scale: 3", "guidance_scale: is not a key here; it is called stage1.guidance.video.cfg"),
        ("cfg: 3", "cfg: is not a key here; it can be stage1.guidance.video.cfg"),
        ("negative: blur", "negative: is not a key here; it is called negative_prompt"),
        ("output: {filename: a.mp4}", "output.filename: is not a key here; it is called output.path"),
        ("init_image: a.png", "init_image: is not a key here; it is called image"),
        ("end_image: a.png", "end_image: is not a key here; write images: [{path: ..., at: last}]"),
        ("resolution: 720p", "resolution: is not a key here; write width and height"),
        ("segment: {length: 97}", "segment.length: is not a key here; nearest is strength"),
    ],
)
def test_a_key_of_another_program_is_answered_with_ours(of_video, written, answer):
    assert of_video(written) == [answer]


def test_a_key_of_a_scene_is_answered_too(sentences):
    assert sentences("videos: [{id: fox, scenes: [{prompt: p, fps: 24, duration: 2}]}]") == [
        "demo.yaml: videos[0] 'fox'.scenes[0].fps: is not a key here; it is called frame_rate, which is a key of the "
        "whole video; put it beside scenes",
        "demo.yaml: videos[0] 'fox'.scenes[0].duration: is not a key here; it is called seconds",
    ]
