"""Whole runs that are killed, or whose disk fails: they end as if nothing had been, and nothing is made twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

RUNS = Path(__file__).with_name("runs.py")
ROOT = Path(__file__).parents[3]


@pytest.fixture
def top():
    """A directory in memory where there is one: a process that is killed loses nothing that was written."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield folder


def happened(*args):
    command = [sys.executable, str(RUNS), *map(str, args)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900, check=False)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def check(answer):
    assert answer["errors"] == []
    assert answer["wrong"] == [], "digests of artifacts or files differ from those of the undisturbed run"
    assert answer["twice"] == [], "what was committed was made again"
    assert answer["litter"] == []


def test_a_run_killed_at_200_points_ends_like_an_undisturbed_one(top):
    answer = happened("kills", "toy", top, 200, 1)
    check(answer)
    assert (answer["kills"], answer["torch"]) == (200, False)
    assert answer["artifacts"] > 30
    assert answer["runs"] > 10


def test_cards_killed_at_20_points_end_bit_for_bit_like_undisturbed_ones(top):
    answer = happened("kills", "card", top, 20, 1)
    check(answer)
    assert answer["kills"] == 20


@pytest.mark.slow
def test_cards_killed_at_200_points_end_bit_for_bit_like_undisturbed_ones(top):
    answer = happened("kills", "card", top, 200, 2)
    check(answer)
    assert answer["kills"] == 200


def test_a_run_on_a_disk_that_fails_anywhere_stops_cleanly_and_goes_on(top):
    answer = happened("faults", "toy", top, 80, 1)
    check(answer)
    ends = {code: [end for name, end in answer["ends"] if name == code] for code in ("ENOSPC", "EIO")}
    # A full disk stops the run, with a sentence that says what to do, unless it was full only after the last write.
    assert all("no space left" in end or end in ("finished", "unfinished") for end in ends["ENOSPC"])
    assert sum("free some space" in end for end in ends["ENOSPC"]) > 20
    # A task whose write failed once is made again; a journal or plan that cannot be written stops the run.
    assert all("input/output error" in end or end == "finished" for end in ends["EIO"])
    assert ends["EIO"].count("finished") > 20
