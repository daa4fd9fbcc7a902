"""How segments are cut, chained and joined, and what a video may go on from."""

import io
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest

from ltx_ray.errors import ManifestError
from ltx_ray.manifest.load import load_manifest
from ltx_ray.manifest.schema import Extend
from tests.unit.manifest.cards import MODELS

PIXELS = "join: pixels, crossfade: 8, "


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ("chain: chain", ["chain: 'chain' is not a chain; it can be stagewise, final"]),
        ("join: pixel", ["join: 'pixel' is not a join; nearest is pixels"]),
        ("crossfade: -1", ["crossfade: -1 is not a whole number of frames between 0 and 10368000"]),
        ("crossfade: 8", ["crossfade: 8 frames are blended only with join: pixels; set it, or crossfade 0"]),
        (
            "join: pixels, crossfade: 26",
            [
                "segment.connector: 25 is less than the crossfade, 26 frames; at least 33, or a shorter crossfade",
            ],
        ),
        ("segment: {strength: 1.5}", ["segment.strength: 1.5 is not a strength between 0 and 1; nearest is 1"]),
        ("segment: {strength: .nan}", ["segment.strength: nan is not a strength"]),
        (
            "segment: {strength: 0.5}",
            [
                "segment.strength: 0.5 lets frames under a seam differ, which needs join: pixels and a crossfade; "
                "set both, or take 1"
            ],
        ),
        (
            "join: pixels, segment: {strength: 0}",
            [
                "segment.strength: 0 lets frames under a seam differ, which needs join: pixels and a crossfade; "
                "set both, or take 1"
            ],
        ),
        (
            "segment: {frames: 25}",
            ["segment.frames: 25 leaves nothing new after connector 25 and overshoot 0; at least 33 are needed"],
        ),
        (
            "segment: {frames: 121, overshoot: 96}",
            ["segment.frames: 121 leaves nothing new after connector 25 and overshoot 96; at least 129 are needed"],
        ),
        (
            "segment: {frames: 489}",
            [
                "segment.frames: 489 frames are 20.38 s in one call, more than the 20 s that fit; "
                "at this rate the most is 481"
            ],
        ),
        (
            "frame_rate: 29.97, segment: {frames: 609}",
            [
                "segment.frames: 609 frames are 20.32 s in one call, more than the 20 s that fit; "
                "at this rate the most is 593"
            ],
        ),
        (
            "refine: alternate, segment: {connector: 9}",
            [
                "segment.connector: 9 is too short for refine.order alternate, which holds a connector at both ends; "
                "at least 17"
            ],
        ),
        (
            "preset: draft, refine.order: alternate",
            ["refine.order: alternate is an order of stage 2, and a draft has none; take chain"],
        ),
        (
            "preset: draft, chain: final",
            ["chain: final goes on from what stage 2 made, and a draft has none; take stagewise"],
        ),
        (
            "refine: alternate, chain: final",
            [
                "refine.order: alternate waits for the next segment, which chain: final makes later; "
                "take chain: stagewise"
            ],
        ),
        ("refine: alternat", ["refine: 'alternat' is not a mapping with the keys sampler, schedule, steps, sigmas, "
                              "guidance, strength, order, or null for a draft, or one of chain, alternate"]),
        ("refine: chain, refine.order: chain", ["refine.order: is given twice, dotted and nested; keep one of them"]),
        ("extend: clip.mp4", ["extend: 'clip.mp4' is not a mapping with the keys path, seconds, include_source, "
                              "sound, matrix, or null for none"]),
        ("extend: {seconds: 3}", ["extend.path: is missing beside extend.seconds; write the file to go on from"]),
        (
            "extend: {path: 's3://b/a.mp4'}",
            ["extend.path: 's3://b/a.mp4' is not on this machine; download it and write its path"],
        ),
        (
            "extend: {path: 'file://farm/a.mp4'}",
            ["extend.path: 'file://farm/a.mp4' is not on this machine; write file:///folder/file, or the path alone"],
        ),
        (
            "extend: {path: '~nobody-here/a.mp4'}",
            ["extend.path: '~nobody-here/a.mp4' names a home that is not known here; write the path from /"],
        ),
        ("extend: {path: 3}", ["extend.path: 3 is not a path"]),
        ("extend: {path: a.mp4, seconds: 0}",
         ["extend.seconds: 0 is not a duration; it can be more than 0 and at most 86400 seconds"]),
        ("extend: {path: a.mp4, seconds: 0.01}",
         ["extend.seconds: 0.01 is less than one frame; at this rate a frame takes 0.0417 seconds"]),
        ("seconds: 3, extend: {path: a.mp4, seconds: 3}",
         ["extend.seconds: is given beside seconds; keep one of them"]),
        ("num_frames: 25, extend: {path: a.mp4, seconds: 3}",
         ["extend.seconds: is given beside num_frames; keep one of them"]),
        ("extend: {path: a.mp4, include_source: maybe}", ["extend.include_source: 'maybe' is not true or false"]),
    ],
)  # fmt: skip
def test_what_contradicts_itself_at_a_seam_is_refused(of_video, keys, found):
    assert of_video(keys) == found


@pytest.mark.parametrize(
    "keys",
    [
        PIXELS + "segment: {strength: 0.5}",
        "join: pixels, crossfade: 25",
        "join: pixels, chain: final",
        "refine: alternate, segment: {connector: 17}, " + PIXELS,
        "preset: draft, refine.order: chain, chain: stagewise",
        "segment: {frames: 481}",
        "frame_rate: 1, segment: {frames: 17, connector: 9}",
    ],
)
def test_what_goes_together_is_taken(load, keys):
    assert load(f"videos: [{{prompt: p, {keys}}}]").notes == ()


def test_a_word_is_the_short_form_of_the_order_of_stage_2(load):
    first, second, third = load(
        "defaults: {refine: alternate}\nvideos: [{prompt: a}, {prompt: b, refine: chain}, "
        "{prompt: c, refine: {order: chain}}]"
    ).videos
    assert (first.refine_order, second.refine_order, third.refine_order) == ("alternate", "chain", "chain")
    assert first.scenes[0].refine == second.scenes[0].refine


def test_an_order_of_stage_2_does_not_bring_back_a_stage_2_that_was_turned_off(sentences):
    assert sentences("defaults: {refine: null}\nvideos: [{id: fox, prompt: p, refine: alternate}]") == [
        "demo.yaml: videos[0] 'fox'.refine.order: alternate is an order of stage 2, and a draft has none; take chain"
    ]


def test_an_order_can_be_swept_and_given_on_the_command_line(load):
    made = load("sweep: {refine: [chain, alternate]}\nvideos: [{id: fox, prompt: p}]").videos
    assert [(video.id, video.refine_order) for video in made] == [
        ("fox-chain", "chain"),
        ("fox-alternate", "alternate"),
    ]
    assert load("videos: [{prompt: p}]", "refine=alternate").videos[0].refine_order == "alternate"


def test_a_scene_is_held_to_the_crossfade_and_the_order_of_its_video(sentences):
    parts = "scenes: [{prompt: a}, {prompt: b, segment: {connector: 9}}]"
    where = "demo.yaml: videos[0] 'sea'.scenes[1].segment.connector: 9 is"
    assert sentences(f"videos: [{{id: sea, join: pixels, crossfade: 17, {parts}}}]") == [
        f"{where} less than the crossfade, 17 frames; at least 17, or a shorter crossfade"
    ]
    assert sentences(f"videos: [{{id: sea, refine: alternate, {parts}}}]") == [
        f"{where} too short for refine.order alternate, which holds a connector at both ends; at least 17"
    ]


def test_a_segment_of_the_video_that_no_scene_has_need_not_fit_the_crossfade(load):
    assert load("videos: [{join: pixels, crossfade: 33, scenes: [{prompt: a, segment: {connector: 33}}]}]").videos


@pytest.mark.parametrize(
    ("rate", "connector", "is_said"), [(50, 9, True), (60, 9, True), (50, 17, False), (30, 9, False)]
)
def test_a_connector_with_too_little_sound_is_said_once(load, rate, connector, is_said):
    keys = f"frame_rate: {rate}, segment: {{connector: {connector}}}"
    notes = load(f"videos: [{{id: a, prompt: p, {keys}}}, {{id: b, prompt: q, {keys}}}]").notes
    said = (
        "demo.yaml: videos[0] 'a'.segment.connector and 1 more: 9 frames hold little sound to go on from at 50 frames "
        "a second and over; 17 or more are better"
    )
    assert notes == ((said,) if is_said else ())


def test_a_video_goes_on_from_a_file_for_the_seconds_it_says(load, tmp_path):
    (video,) = load("videos: [{prompt: p, extend: {path: clips/a.mp4, seconds: 2.5}}]").videos
    assert video.extend == Extend(path=str(tmp_path / "clips/a.mp4"), include_source=True, takes=("size", "frame_rate"))
    assert video.scenes[0].seconds == Fraction(5, 2)


def test_the_continuation_alone_can_be_asked_for(load):
    (video,) = load("videos: [{prompt: p, num_frames: 24, extend: {path: /a.mp4, include_source: false}}]").videos
    assert video.extend == Extend(path="/a.mp4", include_source=False, takes=("size", "frame_rate"))
    assert video.scenes[0].num_frames == 24


def test_a_relative_file_is_beside_the_manifest_and_on_the_command_line_where_one_stands(load, monkeypatch, tmp_path):
    text = "videos: [{id: fox, prompt: p, extend: {path: a.mp4}}]"
    assert load(text).videos[0].extend.path == str(tmp_path / "a.mp4")
    assert load(text, "fox:extend.path=b.mp4").videos[0].extend.path == "b.mp4"
    monkeypatch.chdir(tmp_path)
    Path("demo.yaml").write_text(text)
    assert load_manifest("demo.yaml", [], models=MODELS).videos[0].extend.path == "a.mp4"


def test_urls_of_files_and_homes_are_filled_in(load, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    text = "videos: [{id: fox, prompt: p, extend: {path: %s}}]"
    assert load(text % "file:///films/a%20b.mp4").videos[0].extend.path == "/films/a b.mp4"
    assert load(text % "file://localhost/films/a.mp4").videos[0].extend.path == "/films/a.mp4"
    assert load(text % "~/a.mp4").videos[0].extend.path == str(tmp_path / "a.mp4")
    (tmp_path / "demo.yaml").write_text(text % "a.mp4")
    (video,) = load_manifest(f"file://{tmp_path}/demo.yaml", [], models=MODELS).videos
    assert video.extend.path == str(tmp_path / "a.mp4")


def test_a_relative_file_of_standard_input_is_where_one_stands(monkeypatch):
    row = b'{"prompt": "p", "extend": {"path": "a.mp4"}}\n'
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(row)))
    assert load_manifest("-", [], models=MODELS).videos[0].extend.path == "a.mp4"


def test_a_relative_file_of_a_manifest_elsewhere_is_refused():
    import fsspec

    fsspec.filesystem("memory").pipe("films.jsonl", b'{"id": "fox", "prompt": "p", "extend": {"path": "a.mp4"}}\n')
    with pytest.raises(ManifestError) as raised:
        load_manifest("memory://films.jsonl", [], models=MODELS)
    assert str(raised.value) == (
        "films.jsonl: line 1 'fox'.extend.path: 'a.mp4' is relative, and the manifest is not on this machine; "
        "write a path that starts with /"
    )


def test_null_takes_an_extension_back_with_its_length(load):
    text = "defaults: {seconds: 4}\nvideos: [{id: fox, prompt: p, extend: {path: a.mp4, seconds: 9}}]"
    (video,) = load(text, "extend=null").videos
    assert (video.extend, video.scenes[0].seconds) == (None, Fraction(4))
    (again,) = load(text, "extend=null", "fox:extend.path=b.mp4").videos
    assert again.extend == Extend(path="b.mp4", include_source=True, takes=("size", "frame_rate"))


def test_a_stronger_length_replaces_that_of_an_extension(load):
    text = "videos: [{prompt: p, extend: {path: a.mp4, seconds: 9}}]"
    assert load(text, "seconds=3").videos[0].scenes[0].seconds == Fraction(3)
    scene = load(text, "num_frames=25").videos[0].scenes[0]
    assert (scene.seconds, scene.num_frames) == (None, 25)
    assert load("defaults: {num_frames: 25}\n" + text).videos[0].scenes[0].seconds == Fraction(9)


def test_scenes_that_go_on_from_a_file_have_lengths_of_their_own(load, sentences):
    parts = "scenes: [{prompt: a, seconds: 2}, {prompt: b, num_frames: 30}]"
    (video,) = load(f"videos: [{{extend: {{path: /a.mp4}}, {parts}}}]").videos
    assert [(scene.seconds, scene.num_frames) for scene in video.scenes] == [(Fraction(2), None), (None, 30)]
    assert sentences(f"videos: [{{id: sea, extend: {{path: /a.mp4, seconds: 3}}, {parts}}}]") == [
        "demo.yaml: videos[0] 'sea'.extend.seconds: the video has scenes; give it to one of them, as scenes.0.seconds"
    ]


def test_the_end_of_a_file_is_held_firmly(load, sentences):
    what = "lets the end of the file differ from what goes on from it, and no crossfade is there to hide it; take 1"
    loose = f"{PIXELS}segment: {{strength: 0.5}}, extend: {{path: a.mp4}}"
    assert sentences("videos: [{id: v, prompt: x, " + loose + "}]") == [
        f"demo.yaml: videos[0] 'v'.segment.strength: 0.5 {what}"
    ]
    scenes = "scenes: [{prompt: x, segment: {strength: 1}}, {prompt: y}]"
    (video,) = load("videos: [{id: v, " + loose + ", " + scenes + "}]").videos
    assert [scene.segment.strength for scene in video.scenes] == [1.0, 0.5]


def test_a_first_scene_that_begins_anew_cannot_go_on_from_a_file(sentences):
    text = "videos: [{id: sea, extend: {path: /a.mp4}, scenes: [{prompt: a, cut: true}, {prompt: b, cut: true}]}]"
    assert sentences(text) == [
        "demo.yaml: videos[0] 'sea'.scenes[0].cut: true begins anew, and extend goes on from a file; "
        "take one of them out"
    ]


def test_the_path_of_a_file_is_literal_and_the_rest_of_an_extension_is_not(load):
    text = """
defaults: {seconds: 4}
videos:
  - {prompt: p, extend: {path: "/${x}/$y.mp4", seconds: "${defaults.seconds}"}}
  - {prompt: q, extend.path: "/${x}.mp4"}
"""
    first, second = load(text).videos
    assert (first.extend.path, second.extend.path) == ("/${x}/$y.mp4", "/${x}.mp4")
    assert first.scenes[0].seconds == Fraction(4)


def test_a_file_can_be_swept_and_is_numbered(load):
    made = load("sweep: {extend.path: [/a.mp4, /b.mp4]}\nvideos: [{id: fox, prompt: p}]").videos
    assert [(video.id, video.extend.path) for video in made] == [("fox-path1", "/a.mp4"), ("fox-path2", "/b.mp4")]


def test_rows_say_all_of_this_too(load):
    table = "prompt,refine,join,crossfade,extend.path,extend.seconds\np,alternate,pixels,8,/007.mp4,3\nq,,,,,\n"
    first, second = load(table, name="rows.csv").videos
    assert (first.refine_order, first.join, first.crossfade) == ("alternate", "pixels", 8)
    assert (first.extend, first.scenes[0].seconds) == (
        Extend(path="/007.mp4", include_source=True, takes=("size", "frame_rate")),
        Fraction(3),
    )
    assert (second.refine_order, second.extend) == ("chain", None)
    (null,) = load('{"prompt": "p", "extend": null}\n', name="rows.jsonl").videos
    assert null.extend is None
