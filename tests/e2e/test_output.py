"""What the command writes, where it can be written and where not, as a shell sees it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest

from tests.e2e.conftest import CODE, TWO


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


def test_a_name_that_the_terminal_cannot_show_is_escaped(bash):
    told, code = bash('"${LTX[@]}" status "runs/\u72d0"; echo $? >&2', PYTHONIOENCODING="latin-1")
    assert told.startswith("ltx-ray: runs/\\u72d0: no run is here") and code == "2"


def test_wrong_usage_is_a_json_record_when_asked_for(ltx_ray, no_ray):
    ran = ltx_ray("render", "--json", **no_ray)
    assert ran.code == 2 and ran.err == ""
    assert [(error["type"], error["exit_code"]) for error in ran.records] == [("error", 2)]
