"""A Ray cluster of fake nodes in this process, as a user's cluster would be: found by its address."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


@pytest.fixture
def cluster():
    """A head without cores and two nodes of one core each; lost nodes are noticed within about two seconds."""
    from ray.cluster_utils import Cluster

    quick = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 2}
    made = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False, "_system_config": quick},
    )
    made.workers = [made.add_node(num_cpus=1) for _ in range(2)]
    yield made
    made.shutdown()


@pytest.fixture
def ltx_ray(tmp_path):
    """The command in an empty directory."""
    from tests.e2e.conftest import Command

    return Command(tmp_path)
