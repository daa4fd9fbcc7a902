"""Ray does not start, is stopped while it starts, or loses its head: a sentence, an exit code, and nothing left."""

from __future__ import annotations

import json
import signal
import socket
import time
from contextlib import suppress

import psutil
import pytest

from tests.e2e.conftest import TWO

#: A start that has failed is over within this, an interpreter that starts included.
AT_ONCE_S = 10.0


@pytest.fixture
def dead():
    """An address where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture
def mute():
    """An address that accepts whoever comes, and says nothing."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield f"127.0.0.1:{held.getsockname()[1]}"


def test_neither_a_home_nor_a_short_tmpdir_nor_a_living_ray_address_is_needed(ltx_ray, tmp_path):
    (tmp_path / "file").touch()
    long = tmp_path / ("long" * 25)
    long.mkdir()
    env = {"HOME": str(tmp_path / "file"), "TMPDIR": str(long), "RAY_ADDRESS": "127.0.0.1:1"}
    ran = ltx_ray("render", ltx_ray.write(TWO), **env, XDG_CACHE_HOME="")
    assert ran.code == 0, ran.err
    assert f"TMPDIR={long}: is longer than" in ran.err and "Traceback" not in ran.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", long.name, "runs", "two.yaml"]


def test_an_unset_home_is_no_matter(ltx_ray, tmp_path, monkeypatch):
    monkeypatch.delenv("HOME")
    ran = ltx_ray("render", ltx_ray.write(TWO))
    assert ran.code == 0, ran.err


def failed_at_once(ltx_ray, *options: str, code: int = 5, **env: str) -> str:
    """What the command said, in one sentence and at once."""
    began = time.monotonic()
    ran = ltx_ray("render", ltx_ray.write(TWO), "--json", *options, **env)
    assert time.monotonic() - began < AT_ONCE_S
    (error,) = (record for record in ran.records if record["type"] == "error")
    assert (ran.code, error["exit_code"]) == (code, code) and "Traceback" not in ran.err and "bug" not in ran.err
    assert "\n" not in error["message"]
    return error["message"]


@pytest.mark.parametrize("place", ["missing", "file", "/proc/self"])
def test_a_ray_tmpdir_that_cannot_be_written_is_named(ltx_ray, tmp_path, place):
    (tmp_path / "file").touch()
    said = failed_at_once(ltx_ray, RAY_TMPDIR=str(tmp_path / place))
    assert said.startswith(f"RAY_TMPDIR={tmp_path / place}: ") and "unset it" in said


def test_an_address_of_no_cluster_is_said_at_once(ltx_ray, dead, mute):
    assert f"RAY_ADDRESS={dead}" in failed_at_once(ltx_ray, "--address", "auto", RAY_ADDRESS=dead)
    assert "connection refused" in failed_at_once(ltx_ray, "--address", dead)
    assert "nothing answered for 5 s" in failed_at_once(ltx_ray, "--address", mute)
    assert "a Ray Client server" in failed_at_once(ltx_ray, "--address", "ray://127.0.0.1:10001")


@pytest.mark.parametrize("address", ["", "127.0.0.1:99999"])
def test_text_that_is_no_address_makes_nothing(ltx_ray, tmp_path, address):
    failed_at_once(ltx_ray, "--address", address, code=2)
    assert not (tmp_path / "runs").exists()


def children(process, name: str = "") -> list[psutil.Process]:
    """Processes under the command whose name or command line begins so; one that ends meanwhile is none."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.Error):
            if child.name().startswith(name) or " ".join(child.cmdline()).startswith(name):
                found.append(child)
    return found


def started(process, name: str) -> psutil.Process:
    """The process of Ray that comes up under the command."""
    while process.poll() is None:
        if found := children(process, name):
            return found[0]
    raise AssertionError(process.communicate())


@pytest.mark.parametrize(
    ("number", "code", "when"), [(signal.SIGINT, 130, "gcs_server"), (signal.SIGTERM, 143, "raylet")]
)
def test_a_signal_while_ray_starts_ends_it_with_all_its_processes(ltx_ray, number, code, when):
    process = ltx_ray.start("render", ltx_ray.write(TWO))
    started(process, when)
    ours = children(process)
    began = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - began < AT_ONCE_S
    assert process.returncode == code and "stopped; the same command resumes it" in err
    assert psutil.wait_procs(ours, timeout=10)[1] == []
    assert not (ltx_ray.cwd / "runs/two/lock").exists()


def test_a_signal_ends_also_a_start_that_hangs(ltx_ray):
    process = ltx_ray.start("render", ltx_ray.write(TWO))
    hung = started(process, "gcs_server")
    hung.suspend()
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert time.monotonic() - began < AT_ONCE_S and process.returncode == 130
    assert psutil.wait_procs([hung], timeout=10)[1] == []


def test_a_process_of_ray_that_dies_as_it_starts_is_named(ltx_ray):
    process = ltx_ray.start("render", ltx_ray.write(TWO))
    victim = started(process, "gcs_server")
    began = time.monotonic()
    victim.kill()
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - began < AT_ONCE_S
    assert process.returncode == 5 and "gcs_server ended as it started" in err and "--inline renders without Ray" in err


@pytest.mark.parametrize("victim", ["gcs_server", pytest.param("raylet", marks=pytest.mark.slow)])
def test_a_lost_head_is_a_sentence_and_the_same_command_resumes(ltx_ray, victim):
    ltx_ray.write(TWO)
    arguments = ("render", "two.yaml", "--json", "--workers", "1")
    process = ltx_ray.start(*arguments, RAY_gcs_rpc_server_reconnect_timeout_s="12")
    done = set()
    for line in process.stdout:
        if (record := json.loads(line)).get("event") == "done":
            done.add(record["task"])
        if len(done) == 3:
            break
    (worker,) = children(process, "ray::StageActor")
    worker.suspend()  # or all would be made before a silent head counts as lost
    started(process, victim).kill()
    out, err = process.communicate(timeout=40)
    *records, last = (json.loads(line) for line in out.splitlines())
    assert process.returncode == 7 and (last["error"], last["exit_code"]) == ("HeadLost", 7)
    assert last["message"].endswith("the cluster's head is gone; the same command resumes") and "Traceback" not in err
    with suppress(psutil.NoSuchProcess):
        worker.resume()
    assert psutil.wait_procs([worker], timeout=10)[1] == []
    journal = (ltx_ray.cwd / "runs/two/journal.jsonl").read_text().splitlines()
    assert json.loads(journal[-1])["event"] == "end"
    done |= {record["task"] for record in records if record.get("event") == "done"}
    again = ltx_ray(*arguments)
    assert again.code == 0, again.err
    assert not done & {record["task"] for record in again.records if record.get("event") == "dispatch"}
    assert len(again.records[-1]["videos"]) == 2
