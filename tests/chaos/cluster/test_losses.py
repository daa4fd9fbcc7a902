"""Workers, nodes, heads and drivers die under a running render: every file still has the bytes it would have had."""

from __future__ import annotations

import json
import signal
import time

import psutil
import pytest

from tests.chaos.cluster.farm import actors, busy_actor, finish, of, rendering, until


def test_a_killed_worker_is_replaced_and_nothing_is_lost(ltx_ray, cluster, whole):
    process = rendering(ltx_ray, cluster.address)
    until(process, '"event": "dispatch"', "decode")
    busy_actor().send_signal(signal.SIGKILL)
    records = finish(process)
    assert next(of(records, "worker_lost"))["cause"] == "death"
    assert ltx_ray.digests() == whole


@pytest.mark.slow
def test_workers_killed_again_and_again_do_not_stop_the_run(ltx_ray, cluster, whole):
    process = rendering(ltx_ray, cluster.address)
    for _ in range(4):
        until(process, '"event": "done"')
        for victim in actors()[:1]:
            victim.send_signal(signal.SIGKILL)
    finish(process)
    assert ltx_ray.digests() == whole


@pytest.mark.slow
def test_a_lost_node_takes_nothing_with_it(ltx_ray, cluster, whole):
    process = rendering(ltx_ray, cluster.address)
    until(process, '"event": "done"', "generate")
    cluster.remove_node(cluster.workers[0], allow_graceful=False)
    records = finish(process)
    assert "node" in [lost["cause"] for lost in of(records, "worker_lost")]
    assert not list(of(records, "death"))
    assert ltx_ray.digests() == whole


@pytest.mark.slow
def test_a_killed_driver_leaves_no_worker_and_the_run_goes_on(ltx_ray, cluster, whole):
    process = rendering(ltx_ray, cluster.address)
    made = of(until(process, '"event": "done"', "generate"), "done")
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(actors(), timeout=10)
    assert alive == []
    again = finish(rendering(ltx_ray, cluster.address))
    assert not {record["task"] for record in made} & {record["task"] for record in of(again, "dispatch")}
    assert ltx_ray.digests() == whole


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["gcs_server", "raylet"])
def test_a_lost_head_ends_the_driver_in_words_and_the_run_goes_on_elsewhere(ltx_ray, make_cluster, victim):
    cluster = make_cluster()
    quick = {"RAY_gcs_rpc_server_reconnect_timeout_s": "12"}
    process = rendering(ltx_ray, cluster.address, "seconds=20", **quick)  # longer than a head may be silent
    made = of(until(process, '"event": "done"', "generate"), "done")
    workers = actors()
    cluster.head_node.all_processes[victim][0].process.kill()
    out, _ = process.communicate(timeout=40)
    last = json.loads(out.splitlines()[-1])
    assert process.returncode == 7 and last["error"] == "HeadLost" and last["exit_code"] == 7
    assert psutil.wait_procs(workers, timeout=10)[1] == []
    cluster.shutdown()
    again = finish(rendering(ltx_ray, make_cluster().address, "seconds=20"))
    assert not {record["task"] for record in made} & {record["task"] for record in of(again, "dispatch")}


@pytest.mark.slow
def test_a_head_that_stalls_for_some_seconds_is_waited_for(ltx_ray, cluster, whole):
    process = rendering(ltx_ray, cluster.address)
    until(process, '"event": "done"', "generate")
    head = psutil.Process(cluster.head_node.all_processes["gcs_server"][0].process.pid)
    head.suspend()
    time.sleep(8)
    head.resume()
    finish(process)
    assert ltx_ray.digests() == whole


@pytest.mark.slow
def test_a_full_object_store_stops_nobody(ltx_ray, make_cluster, whole):
    import ray

    cluster = make_cluster(object_store_memory=80 * 2**20)

    @ray.remote(num_cpus=0, scheduling_strategy="SPREAD")
    class Hoarder:
        def __init__(self):
            self.held = [ray.put(bytes(30 * 2**20)) for _ in range(4)]

        def count(self):
            return len(self.held)

    with ray.init(address=cluster.address, log_to_driver=False):
        hoarders = [Hoarder.remote() for _ in range(4)]
        assert ray.get([hoarder.count.remote() for hoarder in hoarders]) == [4] * 4
        finish(rendering(ltx_ray, cluster.address))
    assert ltx_ray.digests() == whole
