"""A Ray cluster of fake nodes in this process, as a user's cluster would be: found by its address."""

from __future__ import annotations

import os

import pytest

from tests.chaos.cluster.farm import MANIFEST
from tests.e2e.conftest import Command

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

#: Lost nodes are noticed within about two seconds.
QUICK = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 2}


@pytest.fixture(autouse=True)
def auth_mode(monkeypatch):
    """Ray writes the mode of a session it starts here into the environment; clusters of later tests have none."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")


@pytest.fixture
def make_cluster():
    """Builds a head without cores and nodes of one core each; all end with the test."""
    from ray.cluster_utils import Cluster

    made = []

    def make(num_nodes=2, **node_args):
        head = {"num_cpus": 0, "include_dashboard": False, "_system_config": QUICK, **node_args}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        made.append(cluster)
        cluster.workers = [cluster.add_node(num_cpus=1, **node_args) for _ in range(num_nodes)]
        return cluster

    yield make
    for cluster in made:
        cluster.shutdown()


@pytest.fixture
def cluster(make_cluster):
    return make_cluster()


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """Digests of an undisturbed render."""
    command = Command(tmp_path_factory.mktemp("whole"))
    ran = command("render", command.write(MANIFEST), "--inline")
    assert ran.code == 0, ran.err
    return command.digests()


@pytest.fixture
def ltx_ray(tmp_path):
    """The command in an empty directory."""
    return Command(tmp_path)
