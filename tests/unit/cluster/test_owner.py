"""The thread that owns a session: what it says of a start, and that nothing of it outlives a close."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import psutil
import pytest

from ltx_ray.cluster.owner import OwnerThread, owner_left_behind


@pytest.fixture
def own():
    """Starts an owner, and lets its ``begin`` go at the end of the test."""
    release = threading.Event()
    owners = []

    def start(begin=lambda release: None, end=lambda: None):
        owner = OwnerThread(lambda: begin(release), end)
        owner.start()
        owners.append(owner)
        return owner

    yield start
    release.set()
    for owner in owners:
        owner.close(5)
    assert owner_left_behind() is None


def test_a_session_is_closed_by_the_thread_that_opened_it(own):
    seen = []
    owner = own(lambda _: seen.append(threading.get_ident()), lambda: seen.append(threading.get_ident()))
    assert owner.is_settled(5) and owner.error is None and owner.is_alive()
    assert owner_left_behind() is None, "it is in use"
    owner.close(5)
    assert seen == [owner.ident, owner.ident] and not owner.is_alive()


@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit(1), KeyboardInterrupt()])
def test_whatever_a_start_raises_is_reported_and_ends_the_thread(own, error):
    def begin(_):
        raise error

    owner = own(begin)
    assert owner.is_settled(5) and owner.error is error
    owner.join(5)
    assert not owner.is_alive()


def sleep_with_a_child(seen):
    """A process that has a process of its own, as a raylet has; both are seen."""
    code = "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE, text=True)
    seen += [process, psutil.Process(int(process.stdout.readline()))]


def test_a_start_that_hangs_is_left_behind_without_its_processes(own, monkeypatch):
    monkeypatch.setattr("ltx_ray.cluster.owner.END_S", 0.05)
    seen = []

    def begin(release):
        sleep_with_a_child(seen)
        release.wait()

    owner = own(begin)
    while len(seen) < 2:
        time.sleep(0.01)
    owner.close(0)
    assert owner.is_alive() and owner_left_behind() is owner
    process, grandchild = seen
    assert process.wait(5) == -9
    process.stdout.close()
    assert psutil.wait_procs([grandchild], timeout=5)[1] == []


def test_a_vital_process_that_ended_is_seen_and_others_are_not(own, tmp_path):
    (tmp_path / "raylet").symlink_to("/bin/true")
    ended = []

    def begin(release):
        other, vital = subprocess.Popen(["/bin/true"]), subprocess.Popen([tmp_path / "raylet"])
        ended.extend([other, vital])
        release.wait()
        other.wait(), vital.wait()

    owner = own(begin)
    give_up_at = time.monotonic() + 5
    while owner.dead_child() is None and time.monotonic() < give_up_at:
        time.sleep(0.01)
    assert owner.dead_child() == "raylet"
