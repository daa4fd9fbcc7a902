"""Processes that are killed inside a commit, and processes that want the same thing at once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CHILDREN = Path(__file__).with_name("children.py")
ROOT = Path(__file__).parents[3]


def happened(*args):
    command = [sys.executable, str(CHILDREN), *map(str, args)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


@pytest.mark.parametrize("how", ["bytes", "file", "bytes again", "file again"])
def test_a_key_is_whole_or_absent_wherever_its_writer_was_killed(tmp_path, how):
    points = happened("deaths", tmp_path, how)
    assert [point["died"] for point in points] == [signal.SIGKILL] * (len(points) - 1) + [0]
    assert len(points) > 12
    seen = [point["seen"] for point in points]
    assert seen == sorted(seen), "absent up to a point, whole from there on"
    assert set(seen) == {"absent", "whole"}
    assert all(point["healed"] for point in points)


@pytest.mark.parametrize("before", ["absent", "broken", "dangling"])
def test_of_eight_writers_of_one_key_one_wins_and_all_say_so(tmp_path, before):
    for turn in happened("commits", tmp_path, before):
        assert turn == {"num_answers": 8, "agreed": True, "whole": True}


@pytest.mark.parametrize("before", ["absent", "stale"])
def test_of_eight_takers_of_a_lock_exactly_one_holds_it(tmp_path, before):
    for turn in happened("locks", tmp_path, before):
        assert turn == {"held": 1, "refused": 7}
    assert len(list(tmp_path.iterdir())) == 12
