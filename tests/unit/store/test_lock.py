from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import time
from dataclasses import asdict, replace

import pytest

from ltx_ray.errors import RunLocked, StoreError, StoreUnusable
from ltx_ray.store import lock as locks
from ltx_ray.store import owner as owners
from ltx_ray.store.lock import RunLock, break_lock, read_lock
from ltx_ray.store.owner import temp_prefix, this_process

ME = this_process()
SINCE = "2026-01-02T03:04:05Z"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lock"


@pytest.fixture(scope="module")
def dead_pid():
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def write_lock(path, owner):
    path.write_text(json.dumps({**asdict(owner), "since": SINCE, "token": "00"}) + "\n")


def assert_taken_over(path):
    with RunLock(path):
        assert read_lock(path).owner == ME
    assert list(path.parent.iterdir()) == []


def test_a_lock_says_who_holds_it_and_is_gone_afterwards(path):
    with RunLock(path):
        holder = read_lock(path)
        assert holder.owner == ME
        assert holder.life == "alive"
        assert list(path.parent.iterdir()) == [path]
    assert list(path.parent.iterdir()) == []


def test_a_lock_held_by_a_live_process_is_refused(path):
    with RunLock(path):
        with pytest.raises(RunLocked) as caught:
            RunLock(path).acquire()
        error = caught.value
        assert (error.run_dir, error.host, error.pid) == (str(path.parent), ME.host, os.getpid())
        assert error.since == read_lock(path).since
        assert list(path.parent.iterdir()) == [path]


def test_a_released_lock_can_be_taken_again(path):
    lock = RunLock(path)
    lock.acquire()
    lock.release()
    lock.release()
    lock.acquire()
    lock.release()


def test_the_lock_is_released_when_the_block_raises(path):
    with pytest.raises(KeyError), RunLock(path):
        raise KeyError
    assert read_lock(path) is None


def test_the_lock_of_a_dead_process_is_taken_over(path, dead_pid):
    write_lock(path, replace(ME, pid=dead_pid))
    assert_taken_over(path)


def test_the_lock_of_a_process_whose_pid_was_reused_is_taken_over(path):
    write_lock(path, replace(ME, started=ME.started - 1))
    assert_taken_over(path)


def test_a_killed_process_that_nobody_waited_for_is_dead(path):
    zombie = subprocess.Popen(["true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    write_lock(path, replace(ME, pid=zombie.pid))
    assert_taken_over(path)
    zombie.wait()


def test_the_lock_of_before_a_reboot_is_taken_over(path, monkeypatch):
    monkeypatch.setattr(owners, "_machine", lambda: (ME.host, "machine-1", "boot-2"))
    write_lock(path, replace(ME, machine="machine-1", boot="boot-1"))
    with RunLock(path):
        assert read_lock(path).owner.boot == "boot-2"


@pytest.mark.parametrize(
    "change",
    [
        {"host": "elsewhere"},
        {"machine": "another machine of this name"},
        {"pid_namespace": "pid:[1]"},
    ],
)
def test_a_holder_that_cannot_be_seen_from_here_is_believed(path, dead_pid, change):
    write_lock(path, replace(ME, pid=dead_pid, **change))
    with pytest.raises(RunLocked, match=f"since {SINCE}.*`ltx-ray unlock {path.parent}`"):
        RunLock(path).acquire()
    assert read_lock(path).life == "unknown"


def test_two_machines_that_nothing_tells_apart_are_not_taken_for_a_reboot(path, monkeypatch):
    monkeypatch.setattr(owners, "_machine", lambda: ("ubuntu", "", "boot-2"))
    write_lock(path, replace(ME, host="ubuntu", machine="", boot="boot-1"))
    with pytest.raises(RunLocked):
        RunLock(path).acquire()


@pytest.mark.parametrize("content", [b"", b"\0\0", b"{}", b"[]", b'{"host":"a"}', b"\xff"])
def test_a_lock_that_cannot_be_read_is_believed_until_a_person_breaks_it(path, content):
    path.write_bytes(content)
    with pytest.raises(RunLocked, match="unknown host"):
        RunLock(path).acquire()
    assert break_lock(path).owner is None
    assert_taken_over(path)


@pytest.mark.parametrize("field", ["pid", "started", "host"])
def test_a_lock_with_impossible_values_is_believed(path, field):
    write_lock(path, replace(ME, **{field: None}))
    with pytest.raises(RunLocked, match="unknown host"):
        RunLock(path).acquire()


@pytest.mark.parametrize("content", ["{}", "[]", "null", '{"pid":1}', "[" * 50_000, "\0" * 200])
def test_a_lock_that_says_nothing_usable_is_believed_until_it_is_broken(path, content):
    path.write_text(content)
    with pytest.raises(RunLocked, match="unknown host"):
        RunLock(path).acquire()
    assert break_lock(path).owner is None
    RunLock(path).acquire()


def test_breaking_a_lock_of_a_live_process_is_refused(path):
    with RunLock(path):
        with pytest.raises(RunLocked):
            break_lock(path)
        assert read_lock(path).owner == ME


def test_breaking_a_foreign_lock_tells_whose_it_was(path):
    foreign = replace(ME, host="elsewhere")
    write_lock(path, foreign)
    assert break_lock(path).owner == foreign
    assert read_lock(path) is None


def test_breaking_no_lock_is_no_error(path):
    assert break_lock(path) is None


def test_release_leaves_a_lock_that_belongs_to_somebody_else_by_now(path):
    lock = RunLock(path)
    lock.acquire()
    path.unlink()
    with RunLock(path):
        lock.release()
        assert read_lock(path).owner == ME


@pytest.mark.parametrize("has_another", [False, True], ids=["moved", "replaced"])
def test_the_lock_of_a_directory_that_was_moved_is_released_there(tmp_path, has_another):
    here, there = tmp_path / "run", tmp_path / "moved"
    here.mkdir()
    with RunLock(here / "lock") as lock:
        lock.check()
        here.rename(there)
        if has_another:
            here.mkdir()
            write_lock(here / "lock", replace(ME, host="elsewhere"))
        with pytest.raises(StoreUnusable, match=f"{here}: this run directory, or lock in it, was moved, deleted or re"):
            lock.check()
    assert list(there.iterdir()) == []
    assert (read_lock(here / "lock") is not None) is has_another


def test_the_lock_of_a_directory_that_was_deleted_is_released_without_a_word(tmp_path):
    (tmp_path / "run").mkdir()
    with RunLock(tmp_path / "run/lock"):
        shutil.rmtree(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_fault_that_may_pass_is_not_taken_for_a_lost_lock(path, monkeypatch):
    def fail(path):
        raise OSError(errno.EIO, "Input/output error")

    with RunLock(path) as lock:
        monkeypatch.setattr(type(path), "read_bytes", fail)
        lock.check()
        monkeypatch.undo()


def test_what_a_killed_taker_left_is_swept_and_other_files_stay(path, dead_pid):
    place = temp_prefix().rsplit(".", 3)[0]
    (path.parent / f".lock.{place}.{dead_pid}.1.aa").write_bytes(b"")
    kept = {path.parent / f".lock.{temp_prefix()}bb", path.parent / ".lock.elsewhere.1.1.cc", path.parent / ".lock.x"}
    for temp in kept:
        temp.write_bytes(b"")
    with RunLock(path):
        assert set(path.parent.iterdir()) == {path, *kept}


def test_a_missing_run_directory_is_said(tmp_path):
    with pytest.raises(StoreUnusable, match="does not exist"):
        RunLock(tmp_path / "gone" / "lock").acquire()


def test_a_stale_lock_that_somebody_took_meanwhile_is_not_taken_twice(path, dead_pid, monkeypatch):
    write_lock(path, replace(ME, pid=dead_pid))
    judge = RunLock._stale

    def overtaken(lock):
        found = judge(lock)
        monkeypatch.undo()
        write_lock(path, ME)
        return found

    monkeypatch.setattr(RunLock, "_stale", overtaken)
    with pytest.raises(RunLocked):
        RunLock(path).acquire()
    assert read_lock(path).owner == ME


@pytest.fixture
def quick(monkeypatch):
    """A lease of a moment."""
    monkeypatch.setattr(locks, "BEAT_S", 0.02)
    monkeypatch.setattr(locks, "LEASE_S", 0.4)
    monkeypatch.setattr(locks, "LOOK_S", 0.01)


def write_beating(path, **change):
    owner = replace(ME, host="elsewhere", **change)
    path.write_text(json.dumps({**asdict(owner), "since": SINCE, "token": "00", "beats": True}) + "\n")


def test_a_holder_elsewhere_that_no_longer_touches_its_lock_is_taken_over(path, quick):
    write_beating(path)
    assert_taken_over(path)


def test_a_holder_elsewhere_that_touches_its_lock_is_believed_as_soon_as_it_does(path, quick, monkeypatch):
    monkeypatch.setattr(locks, "LEASE_S", 60.0)
    write_beating(path)
    looks = []

    def look(file):
        looks.append(file)
        if len(looks) == 3:
            os.utime(path, ns=(1, 1))
        return seen(file)

    seen = locks._look
    monkeypatch.setattr(locks, "_look", look)
    with pytest.raises(RunLocked, match="elsewhere"):
        RunLock(path).acquire()
    assert len(looks) == 3


def test_a_lock_elsewhere_that_is_released_meanwhile_is_free(path, quick, monkeypatch):
    monkeypatch.setattr(locks, "LEASE_S", 60.0)
    write_beating(path)
    monkeypatch.setattr(locks.time, "sleep", lambda s: path.unlink(missing_ok=True))
    assert_taken_over(path)


def test_who_does_not_wait_believes_a_holder_elsewhere_at_once(path, quick):
    write_beating(path)
    with pytest.raises(RunLocked, match="elsewhere"):
        RunLock(path, waits=False).acquire()


def test_a_holder_touches_its_lock_and_one_that_was_robbed_leaves_the_other_alone(path, quick):
    with RunLock(path) as lock:
        os.utime(path, ns=(1, 1))
        until = time.monotonic() + 10
        while path.stat().st_mtime_ns == 1 and time.monotonic() < until:
            time.sleep(0.01)
        assert path.stat().st_mtime_ns > 1
        write_beating(path)
        os.utime(path, ns=(1, 1))
        time.sleep(0.1)
        assert path.stat().st_mtime_ns == 1
        with pytest.raises(StoreUnusable):
            lock.check()
    assert read_lock(path).owner.host == "elsewhere"
    assert not lock._beats.is_alive()


def test_a_disk_that_fails_at_the_end_does_not_hide_what_failed_before(tmp_path, monkeypatch):
    def fail(fd):
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(ZeroDivisionError), RunLock(tmp_path / "lock"):
        monkeypatch.setattr(os, "fsync", fail)
        raise ZeroDivisionError
    monkeypatch.undo()
    with pytest.raises(StoreError, match="input/output error"), RunLock(tmp_path / "lock"):
        monkeypatch.setattr(os, "fsync", fail)
