"""A cluster that grows: Ray's own autoscaler starts nodes, as processes of this machine, and takes them away again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.e2e.conftest import Command
from tests.e2e.ray_head import RayHead, growing_head
from tests.unit.cluster.metadata import answering

STAYING = """
import sys
from ltx_ray.cluster.head import ClusterHead
print(len(ClusterHead(sys.argv[1]).machines(5).nodes))
"""
TWO_LONG = """
model: testcard
defaults: {width: 256, height: 192, seconds: 20}
videos: [{id: a, prompt: fox}, {id: b, prompt: owl}]
"""


@pytest.fixture
def head():
    with growing_head(small={"resources": {"CPU": 1, "object_store_memory": 80 * 2**20}, "max_workers": 2}) as head:
        yield head


def demand(head: RayHead) -> str:
    """What the autoscaler says that is asked of it."""
    env = {**os.environ, **head.token, "RAY_AUTH_MODE": "token"}
    command = [sys.executable, "-m", "ray.scripts.scripts", "status", "--address", head.gcs]
    said = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60).stdout
    return said[said.find("Pending Demands") :] if "Pending Demands" in said else said


def until(condition, limit_s: float = 60.0) -> None:
    give_up_at = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.5)


def test_a_run_that_begins_without_a_machine_gets_two_and_asks_for_nothing_after_its_end(ltx_ray: Command, head):
    ltx_ray.write(TWO_LONG, "two.yaml")
    killed = ltx_ray.start("render", "two.yaml", "--address", head.gcs, **head.token)
    until(lambda: "placement groups" in demand(head))
    killed.send_signal(signal.SIGKILL)  # nobody withdraws what it asked for
    killed.communicate(timeout=60)
    until(lambda: "(no resource demands)" in demand(head))

    ran = ltx_ray("render", "two.yaml", "--address", head.gcs, **head.token)
    assert ran.code == 0, ran.err
    asked = re.search(r"asks the cluster to grow, for (\d) more workers of 1 CPU each", ran.err)
    assert asked is None or int(asked[1]) >= 2  # the nodes of the killed run may be there by now
    journal = (ltx_ray.cwd / "runs/two/journal.jsonl").read_text()
    assert len(set(re.findall(r'"node":"([0-9a-f]{56})"', journal))) == 2
    until(lambda: "(no resource demands)" in demand(head))


def test_a_cluster_that_cannot_grow_any_more_is_waited_for_as_long_as_was_asked(ltx_ray: Command):
    with growing_head(none={"resources": {"CPU": 1}, "max_workers": 0}) as head:
        ltx_ray.write(TWO_LONG, "two.yaml")
        ran = ltx_ray("render", "two.yaml", "--address", head.gcs, "--node-limit", "4", **head.token)
        assert ran.code == 3 and "no worker able to text_encode for 4 s" in ran.err
        check_spot_notice(ltx_ray, head)


def check_spot_notice(ltx_ray: Command, head: RayHead) -> None:
    """What a cloud tells this machine reaches Ray."""
    env = head.token | {"RAY_ADDRESS": head.gcs, "RAY_AUTH_MODE": "token"}
    with answering(lambda method, path: (200, "TRUE") if path.endswith("/instance/preempted") else (404, "")) as url:
        ran = ltx_ray("spot-watch", "gcp", "--url", url, **env)
    assert ran.code == 0 and "this machine goes in" in ran.err, ran.err
    state = subprocess.run(
        [sys.executable, "-c", STAYING, head.gcs], env=os.environ | env, capture_output=True, text=True, check=True
    )
    assert state.stdout.split() == ["0"]  # one that idles goes at once
