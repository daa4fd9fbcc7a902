"""``ltx-ray init``: what it writes is a good manifest, and nothing is overwritten."""

from __future__ import annotations

import io
import json
import sys

import pytest

from ltx_ray.api import load_manifest
from ltx_ray.cli.main import main


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_starter_is_a_good_manifest_of_one_video(capsys):
    assert main(["init"]) == 0
    assert "manifest.yaml: a video; `ltx-ray plan manifest.yaml` says what it makes" in capsys.readouterr().out
    (video,) = load_manifest("manifest.yaml").videos
    assert (video.id, video.model, video.width) == ("a-lighthouse-at-dusk-waves", "testcard", 768)


def test_every_line_of_prompts_is_a_video_with_an_id_of_its_own(here, capsys):
    prompts = ['A fox: "quick" and brown', "", "# not this", "A fox: quick and brown again", "Ein Fuchs läuft", "???"]
    (here / "p.txt").write_text("\n".join(prompts), "utf-8")
    assert main(["init", "films.yaml", "--from", "p.txt", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"type": "init", "manifest": "films.yaml", "videos": 4}
    videos = load_manifest("films.yaml").videos
    assert [video.scenes[0].prompt for video in videos] == [prompts[0], *prompts[3:]]
    assert [video.id for video in videos] == [
        "a-fox-quick-and-brown",
        "a-fox-quick-and-brown.2",
        "ein-fuchs-l-uft",
        "video",
    ]


def test_prompts_come_from_standard_input_too(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\ntwo\n")))
    assert main(["init", "films.yaml", "--from", "-"]) == 0
    assert len(load_manifest("films.yaml").videos) == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["init", "there.yaml"], "there.yaml: is there already; name another file"),
        (["init", "m.json"], "m.json: is not named as YAML; end it in .yaml"),
        (["init", "gone/m.yaml"], "gone/m.yaml: cannot be written: No such file or directory"),
        (["init", "--from", "empty.txt"], "empty.txt: has no prompt; write one a line"),
        (["init", "--from", "no.txt"], "no.txt: no such file"),
        (["init", "--from", "long.txt"], "long.txt: line 1: has 20000 characters; at most 10000 are read"),
    ],
)
def test_what_cannot_be_is_a_sentence_and_writes_nothing(here, capsys, arguments, sentence):
    (here / "there.yaml").write_text("mine")
    (here / "empty.txt").write_text("\n# only this\n")
    (here / "long.txt").write_text("x" * 20_000)
    assert main(arguments) == 2
    assert sentence in capsys.readouterr().err
    assert (here / "there.yaml").read_text() == "mine" and not (here / "manifest.yaml").exists()
