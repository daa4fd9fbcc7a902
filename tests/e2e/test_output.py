"""What the command writes, where it can be written and where not, as a shell sees it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from hashlib import sha256

import pytest

from tests.e2e.conftest import CODE, TWO, Command, poison_refine


@pytest.fixture
def bash(ltx_ray, no_ray):
    """Run a line of bash in which $LTX is the command; what it wrote to standard error."""
    ltx_ray.write(TWO)

    def run(line, **env):
        command = f"LTX=({shlex.quote(sys.executable)} -c {shlex.quote(CODE)}); {line}"
        ran = subprocess.run(
            ["bash", "-c", command],
            cwd=ltx_ray.cwd,
            env={**os.environ, **no_ray, **env},
            capture_output=True,
            text=True,
            check=True,
        )
        return ran.stderr.splitlines()

    return run


def test_a_full_disk_behind_the_output_ends_with_4_and_one_sentence(bash):
    sentence = "ltx-ray: standard output: no space left on device; send it to where it can be written"
    assert bash('"${LTX[@]}" plan two.yaml > /dev/full; echo $? >&2') == [sentence, "4"]


def test_a_reader_that_has_enough_ends_it_quietly(bash):
    # `true` reads nothing and is gone long before the first line.
    assert bash('"${LTX[@]}" plan two.yaml | true; echo ${PIPESTATUS[0]} >&2') == ["141"]


def test_a_closed_output_changes_nothing_else(bash):
    assert bash('"${LTX[@]}" plan two.yaml >&-; echo $? >&2')[-1] == "0"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_with_any_stream_closed_every_verb_ends_as_ever(bash, closed):
    told = bash(
        f"""exec 9>&2
        ended() {{ echo $? >&9; }}
        "${{LTX[@]}}" --help {closed}; ended
        "${{LTX[@]}}" --version {closed}; ended
        "${{LTX[@]}}" plan two.yaml {closed}; ended
        "${{LTX[@]}}" plan two.yaml --json {closed}; ended
        "${{LTX[@]}}" status runs/none {closed}; ended
        "${{LTX[@]}}" status runs/none --json {closed}; ended
        "${{LTX[@]}}" probe two.yaml {closed}; ended
        "${{LTX[@]}}" plan - {closed} < /dev/null; ended"""
    )
    assert [line for line in told if line.isdecimal()] == ["0", "0", "0", "0", "2", "2", "6", "2"]
    assert not any("Traceback" in line or "bug" in line for line in told)


def finished(folder, run="runs/two"):
    """Digests of the files of a render that came to its own end and holds no lock."""
    records = [json.loads(line) for line in (folder / run / "journal.jsonl").read_text().splitlines()]
    assert records[-1]["event"] == "end" and records[-1]["stopped"] is None
    assert not (folder / run / "lock").exists()
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in (folder / run / "videos").iterdir()}


@pytest.mark.parametrize(
    ("to", "code"),
    [
        ("> /dev/full 2>&1", "4"),
        ("2>&1 | true", "141"),
        ("--json | head -c 1", "141"),
        ("<&- >&- 2>&-", "0"),
    ],
)
def test_a_render_outlives_its_output(ltx_ray, whole, to, code):
    ltx_ray.write(TWO)
    line = (
        f"{shlex.quote(sys.executable)} -c {shlex.quote(CODE)} render two.yaml --inline {to}; exit ${{PIPESTATUS[0]}}"
    )
    ran = subprocess.run(["bash", "-c", line], cwd=ltx_ray.cwd, capture_output=True, text=True, check=False)
    assert str(ran.returncode) == code, ran.stderr
    assert "Traceback" not in ran.stderr
    assert finished(ltx_ray.cwd) == whole


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    command = Command(tmp_path_factory.mktemp("whole"))
    assert command("render", command.write(TWO), "--inline").code == 0
    return finished(command.cwd)


def test_a_failed_render_says_so_by_its_code_also_without_an_output(ltx_ray):
    env = poison_refine(ltx_ray.cwd / "poison", "raise ValueError")
    line = f"{shlex.quote(sys.executable)} -c {shlex.quote(CODE)} render {ltx_ray.write(TWO)} --inline > /dev/full 2>&1"
    ran = subprocess.run(["bash", "-c", line], cwd=ltx_ray.cwd, env={**os.environ, **env}, check=False)
    assert ran.returncode == 3


def test_a_name_that_the_terminal_cannot_show_is_escaped(bash):
    told, code = bash('"${LTX[@]}" status "runs/\u72d0"; echo $? >&2', PYTHONIOENCODING="latin-1")
    assert told.startswith("ltx-ray: runs/\\u72d0: no run is here") and code == "2"


def test_wrong_usage_is_a_json_record_when_asked_for(ltx_ray, no_ray):
    ran = ltx_ray("render", "--json", **no_ray)
    assert ran.code == 2 and ran.err == ""
    assert [(error["type"], error["exit_code"]) for error in ran.records] == [("error", 2)]
