"""Workers hang, nodes drain and join, people stop a render: what can go on does, and every byte is as it would be."""

from __future__ import annotations

import signal
import time

import psutil
import pytest

from tests.chaos.cluster.farm import actors, busy_actor, finish, of, rendering, until


def drain(cluster, node, *, after_s: float) -> None:
    """Announce that a spot node goes, as its cloud would."""
    from ray._raylet import GcsClient

    preemption, deadline_ms = 2, int((time.time() + after_s) * 1000)
    is_accepted, why = GcsClient(address=cluster.address).drain_node(node.node_id, preemption, "spot", deadline_ms)
    assert is_accepted, why


@pytest.mark.slow
def test_a_worker_that_hangs_is_killed_and_its_task_made_again(ltx_ray, cluster, whole):
    process = rendering(ltx_ray, cluster.address, "--hang-limit", "8")
    until(process, '"event": "dispatch"', "decode")
    hung = busy_actor()
    hung.suspend()
    records = finish(process)
    (kill,) = of(records, "kill")
    assert kill["cause"] == "hang" and "no progress for 8 s" in kill["why"]
    assert [lost["cause"] for lost in of(records, "worker_lost")] == ["hang"]
    assert ltx_ray.digests() == whole
    assert psutil.wait_procs([hung], timeout=10)[1] == []


def test_a_node_that_drains_gets_no_more_tasks_and_its_own_do_not_count(ltx_ray, cluster, whole):
    process = rendering(ltx_ray, cluster.address)
    begun = until(process, '"event": "dispatch"', "decode")
    going, working = cluster.workers[0], actors()
    for actor in working:
        actor.suspend()  # so that work is left when the news comes
    drain(cluster, going, after_s=12.0)
    begun += until(process, '"event": "worker_draining"')
    for actor in working:
        actor.resume()
    records = begun + finish(process)
    (name,) = (joined["worker"] for joined in of(records, "worker_joined") if joined["node"] == going.node_id)
    (told_at,) = (record["at"] for record in of(records, "worker_draining"))
    assert not [d for d in of(records, "dispatch") if d["worker"] == name and d["at"] > told_at]
    assert {lost["cause"] for lost in of(records, "worker_lost")} <= {"drain", "node"}
    assert not list(of(records, "death"))
    assert ltx_ray.digests() == whole


@pytest.mark.slow
def test_a_task_that_outlasts_its_node_goes_elsewhere_at_the_deadline(ltx_ray, cluster, whole):
    process = rendering(ltx_ray, cluster.address)
    begun = until(process, '"event": "dispatch"', "decode")
    going = cluster.workers[0]
    busy_actor(going).suspend()
    drain(cluster, going, after_s=6.0)
    records = begun + finish(process)
    (kill,) = of(records, "kill")
    assert kill["cause"] == "drain"
    again = [d["attempt"] for d in of(records, "dispatch") if d["task"] == kill["task"] and d["at"] > kill["at"]]
    assert again == [2] and not list(of(records, "death"))
    assert ltx_ray.digests() == whole


@pytest.mark.slow
def test_a_node_that_joins_a_running_render_gets_work(ltx_ray, make_cluster, whole):
    cluster = make_cluster(num_nodes=1)
    process = rendering(ltx_ray, cluster.address)
    begun = until(process, '"event": "dispatch"', "decode")
    (first,) = actors()
    first.suspend()  # until the new node has come up
    joining = cluster.add_node(num_cpus=1)
    begun += until(process, '"event": "worker_joined"', joining.node_id)
    first.resume()
    records = begun + finish(process)
    (name,) = (joined["worker"] for joined in of(records, "worker_joined") if joined["node"] == joining.node_id)
    assert [d for d in of(records, "done") if d["worker"] == name]
    assert ltx_ray.digests() == whole


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_render_leaves_no_process_after_ten_seconds(ltx_ray, cluster, whole, number, code):
    process = rendering(ltx_ray, cluster.address)
    until(process, '"event": "dispatch"', "decode")
    workers = actors()
    stopped_at = time.monotonic()
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == code
    assert psutil.wait_procs(workers, timeout=10.0 - (time.monotonic() - stopped_at))[1] == []
    finish(rendering(ltx_ray, cluster.address))
    assert ltx_ray.digests() == whole
