"""What becomes of an error: a sentence or a JSON record, and an exit code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ltx_ray import errors
from ltx_ray.cli import main as command
from ltx_ray.cli.main import main
from ltx_ray.cli.options import as_text
from ltx_ray.cli.output import PIPE_CLOSED
from tests.test_architecture import subclasses


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rendr", "x.yaml"], "rendr"),
        (["render"], "MANIFEST"),
        (["status", "runs/none", "--stoer", "x"], "--stoer"),
        (["render", "x.yaml", "--workers", "0"], "--workers"),
        (["render", "x.yaml", "--hang-limit", "1"], "5 or more, or 0"),
        (["status", "runs/none"], "no run is here"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_is_a_json_record_too_when_asked_for(capsys, arguments, words):
    assert main([*arguments, "--json"]) == 2
    said = capsys.readouterr()
    error = json.loads(said.out)
    assert (error["type"], error["exit_code"]) == ("error", 2)
    assert words in error["message"] and said.err == ""
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.err.startswith("ltx-ray: ") and words in said.err and said.out == ""


def test_help_and_readme_name_every_exit_code():
    """Those of errors, of a closed output, and of a signal."""
    codes = {cls.exit_code for cls in subclasses(errors.LtxRayError)} | {0, PIPE_CLOSED, 130, 143}
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    for text in (command.EPILOG, readme[readme.index("Exit codes:") :].split("\n\n")[0], command.__doc__):
        named = text[text.index("Exit codes:") :]
        assert {int(code) for code in re.findall(r"(?<!\d)\d{1,3}(?= [a-z])", named)} == codes, named


def raising(error):
    def app(arguments, *, standalone_mode):
        raise error

    return app


def test_a_bug_of_ours_is_a_json_record_and_a_traceback(capsys, monkeypatch):
    monkeypatch.setattr(command, "app", raising(KeyError("lost")))
    assert main(["plan", "--json"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out) == {
        "type": "error",
        "error": "KeyError",
        "message": "this is a bug in ltx-ray; KeyError: 'lost'",
        "exit_code": 1,
    }
    assert "Traceback" in said.err
    assert main(["plan"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.endswith("\nltx-ray: this is a bug in ltx-ray; please report it with the lines above\n")


@pytest.mark.parametrize("where", ["verb", "outside"])
def test_an_interrupt_outside_a_render_ends_with_130(capsys, monkeypatch, where):
    if where == "verb":
        monkeypatch.setattr("ltx_ray.api.status", raising_status)
    else:
        monkeypatch.setattr(command, "app", raising(KeyboardInterrupt()))
    assert main(["status", "runs/x", "--json"]) == 130
    assert json.loads(capsys.readouterr().out)["exit_code"] == 130
    assert main(["status", "runs/x"]) == 130
    assert capsys.readouterr().err == "ltx-ray: interrupted\n"


def raising_status(run_dir, *, store):
    raise KeyboardInterrupt


LONG = "x" * 300
CARD = "model: testcard\nvideos: [{id: fox, prompt: A fox, seconds: 1}]\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", "card.yaml", "--run", LONG],
        ["plan", "card.yaml", "--store", LONG],
        ["render", "card.yaml", "--inline", "--run", LONG],
        ["render", "card.yaml", "--inline", "--store", LONG],
        ["gc", "--store", LONG],
        ["gc", "--keep-run", LONG],
        *([verb, LONG] for verb in ("status", "verify", "unlock", "cancel")),
        ["verify", LONG, "--repair"],
        ["explain", LONG, "fox"],
        ["preview", LONG, "fox"],
    ],
    ids=lambda arguments: " ".join(arguments).replace(LONG, "LONG"),
)
def test_a_name_longer_than_any_file_can_have_is_a_sentence(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "card.yaml").write_text(CARD)
    assert main(arguments) == 4
    assert "the name is too long; name a shorter path" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("B\udcc3\udca4r", "B\u00e4r"),
        ("\u72d0", "\u72d0"),
        ("a\nb", "a\nb"),
        ("\udcff", "\udcff"),
        ("\ud800\udcc3", None),
    ],
)
def test_an_argument_that_is_no_path_is_utf_8_whatever_the_locale_says(argument, text):
    assert as_text(argument) == (argument if text is None else text)


def test_schema_prints_one_for_editors(capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["properties"]["videos"]["type"] == "array"
