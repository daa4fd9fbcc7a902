"""``output.to``: where finished files are sent, which changes nothing of what is made."""

from __future__ import annotations

import json

import pytest

from ltx_ray.plan.graph import build_plan
from ltx_ray.plan.record import plan_lines
from ltx_ray.spec.canonical import canonical
from tests.unit.manifest.cards import MODELS

TWO = "videos: [{id: fox, prompt: p}, {id: owl, prompt: p, seed: 3, output: {path: 'night/{id}.mkv'}}]\n"


@pytest.mark.parametrize("to", ["s3://bucket/films", "s3://bucket", "/mnt/films/", "memory://out/", "gs://b/a/"])
def test_a_file_goes_below_it_by_its_own_path(load, to):
    plan = build_plan(load(f"{TWO}output: {{to: '{to}'}}"), MODELS)
    assert [video.target for video in plan.videos] == [f"{to.rstrip('/')}/fox.mp4", f"{to.rstrip('/')}/night/owl.mkv"]


def test_it_enters_no_key_and_no_file(load):
    here, there = (load(TWO + more) for more in ("", "output: {to: 's3://bucket/films'}"))
    assert list(build_plan(here, MODELS).tasks.items()) == list(build_plan(there, MODELS).tasks.items())
    assert "bucket" not in "".join(line for line in plan_lines(build_plan(there, MODELS)) if '"video":{' not in line)


def test_without_it_what_is_written_down_is_as_before(load):
    manifest = load(TWO)
    assert '"to"' not in canonical(manifest) + "".join(plan_lines(build_plan(manifest, MODELS)))


def test_one_video_has_its_own_and_null_takes_it_back(load):
    text = "output: {to: 's3://bucket/a'}\n" + TWO
    there = load(text, "owl:output.to=/mnt/b", "fox:output.to=null")
    assert [video.output.to for video in there.videos] == [None, "/mnt/b"]


def test_a_home_and_a_file_uri_are_directories(load, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    for to, place in (("~/films", "/home/me/films"), ("file:///srv/a%20b", "/srv/a b"), ("/", "/")):
        assert load(TWO, f"output.to={to}").videos[0].output.to == place


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("films", "'films' is relative; write a path that starts with /, or a URI such as s3://bucket/films"),
        ("../films", "'../films' is relative"),
        ("s3:/bucket/x", "is almost a URI; write s3://bucket/x"),
        ("s3:///x", "names no bucket; write s3://BUCKET/PATH"),
        ("memory://", "names nothing after ://"),
        ("C:\\films", "is a path of Windows"),
        ("file://host/x", "is not on this machine"),
        ("", "is not a directory or a URI"),
        (3, "3 is not a directory or a URI"),
    ],
)
def test_a_slip_is_refused(of_video, to, words):
    (said,) = of_video(f"output.to: {json.dumps(to)}")
    assert said.startswith("output.to: ") and words in said


@pytest.mark.parametrize("to", ["s3://me:hunter2hunter2@bucket/x", "sftp://me@host/x", "az://b/x?sig=hunter2hunter2"])
def test_credentials_in_it_are_refused_and_not_repeated(of_video, to):
    (said,) = of_video(f"output.to: '{to}'")
    assert said == (
        "output.to: holds a user, a password or a key; put them into the environment or the configuration of fsspec"
    )
