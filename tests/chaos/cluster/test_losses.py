"""Workers and nodes die under a running render: every file still comes out, with the bytes it would have had."""

from __future__ import annotations

import json
import os
import signal

import psutil
import pytest

from tests.e2e.conftest import Command

pytestmark = pytest.mark.slow

MANIFEST = """
model: testcard
defaults: {width: 640, height: 640, seconds: 8}
videos:
  - {id: fox, prompt: A fox in the snow}
  - {id: owl, prompt: An owl at night}
  - {id: elk, prompt: An elk by a lake}
  - {id: eel, prompt: An eel in the reeds}
  - id: sea
    width: 256
    height: 256
    segment: {frames: 57, connector: 17, overshoot: 8}
    scenes: [{prompt: Waves, seconds: 5}, {prompt: Surf, seconds: 3}, {prompt: Calm, seconds: 4, cut: true}]
"""
VIDEOS = ("fox", "owl", "elk", "eel", "sea")


@pytest.fixture
def whole(tmp_path_factory):
    """Digests of an undisturbed render."""
    command = Command(tmp_path_factory.mktemp("whole"))
    assert command("render", command.write(MANIFEST), "--inline").code == 0
    return command.digests()


def rendering(command: Command, address: str):
    arguments = ("render", command.write(MANIFEST), "--address", address, "--json")
    return command.start(*arguments, RAY_AUTH_MODE="disabled")  # as the cluster of the fixture is


def until(process, *words: str) -> dict:
    """The first record in which every word stands."""
    for line in process.stdout:
        if all(word in line for word in words):
            return json.loads(line)
    raise AssertionError(process.stderr.read())


def finish(process) -> list[dict]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


def assert_whole(command: Command, whole: dict[str, str]) -> None:
    """Everything has the bytes of an undisturbed render, and every file proves itself."""
    assert command.digests() == whole
    proven = command("probe", *(f"runs/two/videos/{video}.mp4" for video in VIDEOS))
    assert proven.code == 0, proven.out


def actors() -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [""])[0].startswith("ray::StageActor")
    ]


def test_a_killed_worker_is_replaced_and_nothing_is_lost(ltx_ray, cluster, whole):
    process = rendering(ltx_ray, cluster.address)
    until(process, '"event": "done"', "generate")
    os.kill(actors()[0].pid, signal.SIGKILL)
    records = finish(process)
    assert any(record.get("event") == "worker_lost" and record["cause"] == "death" for record in records)
    assert_whole(ltx_ray, whole)


def test_workers_killed_again_and_again_do_not_stop_the_run(ltx_ray, cluster, whole):
    process = rendering(ltx_ray, cluster.address)
    for _ in range(4):
        until(process, '"event": "done"')
        victims = actors()
        if victims:
            os.kill(victims[0].pid, signal.SIGKILL)
    finish(process)
    assert_whole(ltx_ray, whole)


def test_a_lost_node_takes_nothing_with_it(ltx_ray, cluster, whole):
    process = rendering(ltx_ray, cluster.address)
    until(process, '"event": "done"', "generate")
    cluster.remove_node(cluster.workers[0], allow_graceful=False)
    records = finish(process)
    assert any(record.get("event") == "worker_lost" and record["cause"] == "node" for record in records)
    assert not any(record.get("event") == "death" for record in records)
    assert_whole(ltx_ray, whole)


def test_a_killed_driver_leaves_no_worker_and_the_run_goes_on(ltx_ray, cluster, whole):
    process = rendering(ltx_ray, cluster.address)
    until(process, '"event": "done"', "generate")
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(actors(), timeout=20)
    assert alive == []
    finish(rendering(ltx_ray, cluster.address))
    assert_whole(ltx_ray, whole)
