from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from ltx_ray.store.owner import is_abandoned, life, temp_prefix, this_process


def test_this_process_is_alive():
    assert this_process().pid == os.getpid()
    assert life(this_process()) == "alive"


def test_another_process_is_alive_until_it_ends():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        other = replace(this_process(), pid=process.pid, started=0)
        assert life(other) == "alive"
        process.stdin.close()
        process.wait()
        assert life(other) == "dead"


def test_a_process_name_with_spaces_and_parentheses_does_not_confuse(tmp_path):
    script = tmp_path / "a) R (b"
    script.write_text("#!/bin/sh\nread line\n")
    script.chmod(0o755)
    with subprocess.Popen([str(script)], stdin=subprocess.PIPE) as process:
        own = replace(this_process(), pid=process.pid)
        assert life(replace(own, started=0)) == "alive"
        assert life(own) == ("dead" if own.started else "alive")
        process.stdin.close()


def test_a_temporary_file_of_this_process_is_not_abandoned():
    assert is_abandoned(f"{temp_prefix()}aa") is False


@pytest.mark.parametrize("name", ["", "readme", "elsewhere.1.1.aa", "a.b.c.d", "vm.one.1.aa"])
def test_of_other_names_nothing_is_told(name):
    assert is_abandoned(name) is None
