import io
import json
import pickle
import sys
from fractions import Fraction
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltx_ray.errors import ManifestError
from ltx_ray.manifest.keys import VIDEO
from ltx_ray.manifest.load import SECTIONS, load_manifest
from ltx_ray.manifest.problems import nearest
from ltx_ray.manifest.schema import Output, Sampling, Scene, Segment, Video
from ltx_ray.spec.seeds import seed_of_id
from tests.unit.manifest.cards import MODELS


def test_a_prompt_alone_is_a_video_with_every_default_filled_in(load):
    (video,) = load('videos: [{prompt: "a fox"}]').videos
    assert video == Video(
        id="video-00001",
        model="testcard",
        preset="distilled",
        width=768,
        height=512,
        frame_rate=Fraction(24),
        scenes=(
            Scene(
                prompt="a fox",
                seconds=Fraction(5),
                num_frames=None,
                seed=seed_of_id("video-00001"),
                cut=False,
                segment=Segment(frames=None, connector=25, overshoot=0, strength=1.0),
                stage1=Sampling(sampler="euler", sigmas=(1.0, 0.725, 0.421875, 0.0)),
                refine=Sampling(sampler="euler", sigmas=(0.725, 0.421875, 0.0)),
            ),
        ),
        audio_from="stage2",
        chain="stagewise",
        join="latent",
        crossfade=0,
        refine_order="chain",
        extend=None,
        decode_window=None,
        decode_tiling="stream",
        output=Output(
            path="video-00001.mp4",
            codec="h264",
            crf=18,
            preset="medium",
            crop=None,
            audio_bit_rate=192_000,
            provenance=True,
        ),
    )


def test_the_example_of_the_documentation_means_what_it_says(load):
    manifest = load(
        """
version: 1
model: testcard
defaults: {preset: distilled, width: 1088, height: 1920, frame_rate: 30, seconds: 5, seed: 7}
videos:
  - id: fisherman
    prompt: "Style: cinematic, golden hour. A weathered fisherman ..."
    output: {crop: 1080x1920}
  - id: journey
    width: 1920
    height: 1088
    frame_rate: 23.976
    segment: {frames: 121, connector: 25, overshoot: 8}
    scenes:
      - {prompt: "A lighthouse at dusk", seconds: 9}
      - {prompt: "Waves break over the rocks", seconds: 12}
      - {prompt: "Morning, the harbour wakes", seconds: 8, cut: true}
sweep: {seed: [7, 8, 9]}
output: {path: "{id}.mp4", codec: h264, crf: 18}
"""
    )
    assert [video.id for video in manifest.videos] == [
        "fisherman-seed7",
        "fisherman-seed8",
        "fisherman-seed9",
        "journey-seed7",
        "journey-seed8",
        "journey-seed9",
    ]
    journey = manifest.videos[4]
    assert journey.frame_rate == Fraction(24000, 1001)
    assert journey.scenes[0].segment == Segment(frames=121, connector=25, overshoot=8)
    assert [(scene.seconds, scene.seed, scene.cut) for scene in journey.scenes] == [
        (9, 8, False),
        (12, 8, False),
        (8, 8, True),
    ]
    assert manifest.videos[0].output.crop == (1080, 1920)
    assert manifest.notes == ("demo.yaml: videos[1] 'journey'.frame_rate: 23.976 means 24000/1001",)


def test_every_problem_is_said_at_once_in_the_order_of_the_file(sentences):
    assert sentences(
        """
defaults: {width: 700, heigth: 512}
videos:
  - {id: fox, width: 768, frame_rate: 0, prompt: ""}
  - {id: owl, scenes: [{seconds: 1}, 3], height: 500, prompt: p, colour: red}
output: {crf: 99}
sweep: {crf: [1]}
""",
        "fps=3",
    ) == [
        "demo.yaml: defaults.width: 700 is not a multiple of 64; nearest are 640 and 704",
        "demo.yaml: defaults.heigth: is not a key here; nearest is height",
        "demo.yaml: videos[0] 'fox'.frame_rate: 0 is not a frame rate between 1 and 120",
        "demo.yaml: videos[0] 'fox'.prompt: is empty; say what to show",
        "demo.yaml: videos[1] 'owl'.scenes[1]: 3 is not a mapping with prompt and seconds",
        "demo.yaml: videos[1] 'owl'.height: 500 is not a multiple of 64; nearest are 448 and 512",
        "demo.yaml: videos[1] 'owl'.prompt: the video has scenes; give it to one of them, as scenes.0.prompt",
        "demo.yaml: videos[1] 'owl'.colour: is not a key here; " + nearest("colour", VIDEO.names),
        "demo.yaml: output.crf: 99 is not a whole number between 0 and 51",
        "demo.yaml: sweep.crf: is not a key here; it can be output.crf",
        "command line: fps: is not a key here; it is called frame_rate",
    ]


def test_the_order_follows_the_file_when_its_sections_stand_the_other_way_round(sentences):
    found = sentences("output: {crf: 99}\nvideos: [{id: a}]\ndefaults: {seed: -2}\nmodle: x\n")
    assert [line.split(":")[1].strip() for line in found] == [
        "output.crf",
        "videos[0] 'a'.prompt",
        "defaults.seed",
        "modle",
    ]


def test_a_bad_default_is_said_once_however_many_videos_share_it(sentences):
    rows = "".join(f"  - {{prompt: p{idx}}}\n" for idx in range(50))
    assert sentences(f"defaults: {{width: 700}}\nvideos:\n{rows}") == [
        "demo.yaml: defaults.width: 700 is not a multiple of 64; nearest are 640 and 704"
    ]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "demo.yaml: is empty; a manifest needs at least videos with a prompt each"),
        ("# nothing yet\n", "demo.yaml: is empty; a manifest needs at least videos with a prompt each"),
        (
            "- a\n",
            'demo.yaml: ["a"] is not a mapping; '
            "a manifest has the keys version, model, output, defaults, sweep, keep, videos",
        ),
        ("version: 1\n", "demo.yaml: videos: is missing; list at least one video"),
        ("videos: []\n", "demo.yaml: videos: [] is not a list with at least one video"),
        ("videos:\n", "demo.yaml: videos: null is not a list with at least one video"),
        ("videos: [17]\n", "demo.yaml: videos[0]: 17 is not a mapping of keys"),
        (
            "version: 2\nvideos: [{prompt: p}]",
            "demo.yaml: version: 2 is newer than this program reads, 1; update ltx_ray",
        ),
        ("version: 1.0\nvideos: [{prompt: p}]", "demo.yaml: version: 1.0 is not a version; it can be 1"),
        ("video: []\nvideos: [{prompt: p}]", "demo.yaml: video: is not a key here; nearest is videos"),
        ("seed: 7\nvideos: [{prompt: p}]", "demo.yaml: seed: is a key of a video; put it under defaults"),
        ("defaults: 3\nvideos: [{prompt: p}]", "demo.yaml: defaults: 3 is not a mapping of keys"),
        (
            "defaults: {id: x}\nvideos: [{prompt: p}]",
            "demo.yaml: defaults.id: names one video, so it cannot be given to several; take it out",
        ),
        (
            "model: testcrad\nvideos: [{prompt: p}]",
            "demo.yaml: model: 'testcrad' is not a known model; nearest is testcard",
        ),
        (
            "output: 3\nvideos: [{prompt: p}]",
            "demo.yaml: output: 3 is not a mapping with the keys "
            "path, to, codec, crf, preset, crop, audio_bit_rate, provenance",
        ),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_refused_in_a_sentence(sentences, content, sentence):
    assert sentences(content) == [sentence]


def test_an_unknown_model_hides_no_other_mistake(sentences):
    assert sentences("videos: [{id: fox, model: ltx, output: {path: ../a.mp4}, seed: -2}]") == [
        "demo.yaml: videos[0] 'fox'.model: 'ltx' is not a known model; it can be testcard, widecard",
        "demo.yaml: videos[0] 'fox'.output.path: '../a.mp4' leaves the output folder; take .. out",
        "demo.yaml: videos[0] 'fox'.seed: -2 is not a whole number between -1 and 18446744073709551615",
        "demo.yaml: videos[0] 'fox'.prompt: is missing; a video needs a prompt, or scenes that each have one",
    ]


def test_a_missing_file_names_the_nearest_one_beside_it(load, tmp_path):
    load("videos: [{prompt: p}]")
    with pytest.raises(ManifestError) as raised:
        load_manifest(str(tmp_path / "demmo.yaml"), [], models=MODELS)
    assert str(raised.value) == f"demmo.yaml: no such file in {tmp_path}; nearest is demo.yaml"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("nowhere/x.yaml", "x.yaml: no such file: nowhere/x.yaml"),
        (
            "demo.toml",
            "demo.toml: is not a kind of file that is read; "
            "it can end in .yaml, .yml, .json, .jsonl, .ndjson, .csv, .parquet, and .gz after it",
        ),
        ("nosuch://x/y.yaml", "y.yaml: cannot be opened: Protocol not known: nosuch"),
        ("memory://x/y.yaml", "y.yaml: no such file: memory://x/y.yaml"),
    ],
)
def test_a_source_that_cannot_be_opened_is_refused_in_a_sentence(source, sentence):
    with pytest.raises(ManifestError) as raised:
        load_manifest(source, [], models=MODELS)
    assert str(raised.value) == sentence


def test_a_folder_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "demo.yaml").mkdir()
    with pytest.raises(ManifestError) as raised:
        load_manifest(str(tmp_path / "demo.yaml"), [], models=MODELS)
    assert str(raised.value) == "demo.yaml: cannot be opened: Is a directory"


def test_a_file_larger_than_the_limit_is_refused_before_it_is_parsed(load, monkeypatch):
    monkeypatch.setattr("ltx_ray.manifest.files.MAX_FILE_BYTES", 2**20)
    with pytest.raises(ManifestError) as raised:
        load("videos: [" + " " * 2**20)
    assert str(raised.value) == "demo.yaml: is larger than 1 MiB; write its videos as JSONL rows"


def test_bytes_that_are_not_text_are_refused_with_their_line(sentences):
    assert sentences(b"videos:\n- prompt: caf\xe9\n") == ["demo.yaml: line 2: byte 0xe9 is not UTF-8 text"]


def test_a_byte_order_mark_is_skipped(load):
    assert load("\ufeffvideos: [{id: fox, prompt: p}]").videos[0].id == "fox"


def test_any_fsspec_uri_is_read():
    import fsspec

    with fsspec.open("memory://manifests/demo.yaml", "w") as file:
        file.write("videos: [{id: fox, prompt: p}]")
    manifest = load_manifest("memory://manifests/demo.yaml", [], models=MODELS)
    assert (manifest.source, manifest.videos[0].id) == ("memory://manifests/demo.yaml", "fox")


def test_standard_input_is_rows_of_json(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b'{"id": "fox", "prompt": "p"}\n')))
    assert load_manifest("-", [], models=MODELS).videos[0].id == "fox"


def test_json_says_the_same_as_yaml(load):
    tree = {"defaults": {"seed": 3, "width": 640}, "videos": [{"prompt": "p", "height": "${defaults.width}"}]}
    assert load(json.dumps(tree), name="demo.json").videos == load(json.dumps(tree)).videos


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "demo.json: is empty; a manifest needs at least videos with a prompt each"),
        ('{"videos": [', "demo.json: is not JSON, or the file is cut short: Expecting value at column 13"),
        (
            '{"videos": [\n{"a" 1}]}',
            "demo.json: line 2: is not JSON, or the file is cut short: Expecting ':' delimiter at column 6",
        ),
        ('{"seed": 1, "seed": 2}', "demo.json: the key 'seed' is given twice; keep one of them"),
        ("[" * 100_000, "demo.json: is nested too deep"),
        (
            '{"videos": [{"prompt": "p", "seconds": NaN}]}',
            "demo.json: videos[0] 'video-00001'.seconds: nan is not a number of seconds",
        ),
    ],
)
def test_bad_json_is_refused_in_a_sentence(sentences, content, sentence):
    assert sentences(content, name="demo.json") == [sentence]


def test_the_error_survives_pickling(load):
    with pytest.raises(ManifestError) as raised:
        load("videos: [{id: fox}, {id: fox}]")
    again = pickle.loads(pickle.dumps(raised.value))
    assert (str(again), again.problems) == (str(raised.value), raised.value.problems)


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
_words = st.sampled_from(
    [*SECTIONS, *VIDEO.fields, *VIDEO.groups, "scenes", "scenes.0.cut", "scenes.0.stage1.steps", "cut", "a.b", "", "<<"]
)
_values = st.sampled_from(
    ["${defaults.width}", "${.seed}", "1080x1920", "{id}.mp4", "{id[0]}", 768, 24, [1.0, 0.0], "draft"]
)
_trees = st.recursive(
    _scalars | _values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words | st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
_videos = st.lists(st.dictionaries(_words, _trees, max_size=5), max_size=3)
_manifests = _trees | st.fixed_dictionaries({"videos": _videos}, optional=dict.fromkeys(SECTIONS[:-1], _trees))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=_manifests, argument=st.text(max_size=8) | st.builds("{}={}".format, _words, st.text(max_size=6)))
def test_garbage_is_refused_with_sentences_and_with_nothing_else(load, tree, argument):
    try:
        load(json.dumps(tree), argument, name="garbage.json")
    except ManifestError as error:
        assert all(str(problem).isprintable() for problem in error.problems)


def test_keep_is_of_the_whole_manifest_and_the_command_line_wins(load, sentences):
    assert load("videos: [{prompt: a fox}]").keep == "all"
    assert load("keep: outputs\nvideos: [{prompt: a fox}]").keep == "outputs"
    assert load("keep: outputs\nvideos: [{prompt: a fox}]", "keep=latents").keep == "latents"
    assert load('{"prompt": "a fox"}', "keep=outputs", name="rows.jsonl").keep == "outputs"
    assert sentences("keep: files\nvideos: [{prompt: a fox}]") == [
        "demo.yaml: keep: 'files' is not a policy; it can be all, latents, outputs"
    ]
