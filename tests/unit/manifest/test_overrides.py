from fractions import Fraction

import pytest

from ltx_ray.manifest.keys import DEFAULTS
from ltx_ray.manifest.problems import nearest

TWO = "videos: [{id: fox, prompt: a fox}, {id: owl, prompt: an owl}]"


def test_key_value_changes_every_video(load):
    assert [video.width for video in load(TWO, "width=640").videos] == [640, 640]


def test_id_key_value_changes_one_video_and_wins_over_what_all_get(load):
    assert [video.width for video in load(TWO, "owl:width=896", "width=640").videos] == [640, 896]


def test_a_later_argument_wins_over_an_earlier_one(load):
    assert load(TWO, "width=640", "width=896").videos[0].width == 896


def test_the_command_line_wins_over_the_file(load):
    assert load("defaults: {seed: 1}\nvideos: [{prompt: p, seed: 2}]", "seed=3").videos[0].scenes[0].seed == 3


def test_dotted_keys_lists_and_null_can_be_given(load):
    first, second = load(TWO, "output.crf=30", "fox:stage1.sigmas=[1.0, 0.5, 0]", "owl:refine=null").videos
    assert (first.output.crf, first.scenes[0].stage1.sigmas, second.scenes[0].refine) == (30, (1.0, 0.5, 0.0), None)


def test_text_is_taken_as_it_is(load):
    first, second = load(TWO, "fox:prompt=a: b = {c} ${d} # e", "owl:prompt=1984").videos
    assert (first.scenes[0].prompt, second.scenes[0].prompt) == ("a: b = {c} ${d} # e", "1984")


def test_an_id_may_have_a_colon(load):
    assert load("videos: [{id: 'a:b', prompt: p, output: {path: x.mp4}}]", "a:b:seed=5").videos[0].scenes[0].seed == 5


def test_a_scene_can_be_changed_by_its_number(load):
    text = "videos: [{id: sea, scenes: [{prompt: a, seconds: 2}, {prompt: b, num_frames: 49}]}]"
    for key in ("scenes.1.seconds", "scenes[1].seconds"):
        (video,) = load(text, f"sea:{key}=1.5").videos
        assert [(scene.prompt, scene.seconds, scene.num_frames) for scene in video.scenes] == [
            ("a", Fraction(2), None),
            ("b", Fraction(3, 2), None),
        ]


def test_num_frames_replaces_seconds_of_the_file(load):
    scene = load("defaults: {seconds: 5}\n" + TWO, "num_frames=121").videos[0].scenes[0]
    assert (scene.seconds, scene.num_frames) == (None, 121)


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("widht=640", "widht: is not a key here; nearest is width"),
        ("crf=20", "crf: is not a key here; it can be output.crf"),
        ("foxx:seed=1", "foxx: no video has this id; nearest is fox"),
        ("cat:seed=1", "cat: no video has this id; it can be fox, owl"),
        ("640", "'640': is not key=value or ID:key=value"),
        ("fox:=3", "'fox:=3': is not key=value or ID:key=value"),
        ("fox:id=cat", "fox:id: names one video, so it cannot be given to several; take it out"),
        ("fox:width=700", "fox:width: 700 is not a multiple of 64; nearest are 640 and 704"),
        ("width=", "width: null is not a whole number of pixels; leave the key out for its default"),
        (
            "stage1.sigmas=[1, 0",
            "stage1.sigmas: '[1, 0' is not a list of 2 to 1000 noise levels such as [1.0, 0.725, 0.421875, 0.0]",
        ),
        (
            "stage1.sigmas=!!python/name:os",
            "stage1.sigmas: '!!python/name:os' is not a list of 2 to 1000 noise levels "
            "such as [1.0, 0.725, 0.421875, 0.0]",
        ),
        ("fox:scenes.1.cut=true", "fox:scenes.1.cut: there is no scene 1; the next one is 0"),
        (
            "frame_rate=${oc.env:HOME}",
            "frame_rate: '${oc.env:HOME}' is not a frame rate; write 24, 23.976 or 24000/1001",
        ),
        (
            "a\nb=3",
            "a\\nb: is not a key here; " + nearest("a\\nb", DEFAULTS.names),
        ),
    ],
)
def test_a_bad_argument_is_refused_in_a_sentence(sentences, argument, sentence):
    assert f"command line: {sentence}" in sentences(TWO, argument)


def test_a_length_beside_scenes_is_refused_where_it_is_given(sentences):
    text = "videos: [{id: fox, prompt: p}, {id: sea, scenes: [{prompt: a, seconds: 2}]}]"
    assert sentences(text, "seconds=3") == [
        "command line: seconds: the video has scenes; give it to one of them, as scenes.0.seconds"
    ]
