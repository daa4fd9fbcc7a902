"""The schema for editors: it knows every key, takes every manifest that is good, and refuses what a type gives away."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from ltx_ray.manifest.json_schema import manifest_schema
from ltx_ray.manifest.keys import VIDEO
from tests.unit.manifest.test_examples import EXAMPLES, PAGE

SCHEMA = jsonschema.Draft202012Validator(manifest_schema())


def wrong(text: str) -> list[str]:
    return [error.json_path for error in SCHEMA.iter_errors(yaml.safe_load(text))]


def test_it_is_a_schema_of_plain_json():
    jsonschema.Draft202012Validator.check_schema(manifest_schema())
    assert json.loads(json.dumps(manifest_schema())) == manifest_schema()


@pytest.mark.parametrize("path", [path for path in EXAMPLES if path.suffix == ".yaml"], ids=lambda path: path.name)
def test_every_example_is_valid(path: Path):
    assert wrong(path.read_text()) == []


def test_the_example_of_the_page_is_valid():
    assert wrong(PAGE.split("```yaml\n")[1].split("```")[0]) == []


def test_every_key_is_known_nested_and_dotted():
    known = manifest_schema()["$defs"]["video"]["properties"]
    assert {*VIDEO.fields, *VIDEO.groups, *VIDEO.lists} <= {*known}


@pytest.mark.parametrize(
    "keys",
    [
        "audio: {path: s.wav, start: 1.5}",
        "audio: s.wav, image: a.png",
        "images: [a.png, {path: b.png, at: last}]",
        "retake: {path: f.mp4, picture: [[1, 2]], sound: all}",
        "refine: null",
        "refine: alternate",
        "refine: {steps: 4}",
        "scenes.0.prompt: q",
        "output.crop: 640x360, output: {crf: 20}",
        "output: {to: 's3://bucket/films'}",
        "output.to: null",
        "frame_rate: '24000/1001', seed: -1, width: auto",
        "width: '${defaults.width}'",
        "redo: [{at: 2.5, seed: 3}], storyboard: [a.png, {path: b.png, seconds: 2}]",
    ],
)
def test_what_the_loader_takes_is_valid(keys):
    assert wrong(f"videos: [{{id: a, prompt: p, {keys}}}]") == []


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("videos: []", "$.videos"),
        ("video: [{prompt: p}]", "$"),
        ("videos: [{prompt: p, heigth: 512}]", "$.videos[0]"),
        ("videos: [{prompt: 3}]", "$.videos[0].prompt"),
        ("videos: [{prompt: p, width: wide}]", "$.videos[0].width"),
        ("videos: [{prompt: p, images: [{at: soon, path: a.png}]}]", "$.videos[0].images"),
        ("videos: [{prompt: p, output: {codec: divx}}]", "$.videos[0].output"),
        ("defaults: {id: a}\nvideos: [{prompt: p}]", "$.defaults"),
    ],
)
def test_what_a_type_gives_away_is_refused(text, path):
    assert any(found.startswith(path) for found in wrong(text))
