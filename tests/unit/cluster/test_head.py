"""What a head says, and what a silence means: a busy head stalls for seconds, one that is gone stays silent."""

from __future__ import annotations

import socket
import time
from contextlib import contextmanager

import pytest
from ray.core.generated import gcs_pb2

from ltx_ray.cluster.head import (
    MIN_SILENT_ASKS,
    ClusterHead,
    HeadSilent,
    LiveCluster,
    Silence,
    TokenRefused,
    Versions,
    silence_limit,
)
from ltx_ray.errors import HeadLost
from tests.fakes import FakeClock
from tests.unit.cluster.heads import FakeHead, mute, nobody, node_info

A, B = b"\x0a" * 28, b"\x0b" * 28


def silent_for(silence: Silence, clock: FakeClock, seconds: float) -> bool:
    """Ask once a second for so long; whether the head was called lost."""
    return any(silence.is_too_long(answered=False, now=clock.advance(1)) for _ in range(int(seconds)))


def test_a_head_that_is_silent_for_its_limit_is_lost():
    clock, silence = FakeClock(), Silence(15)
    assert not silent_for(silence, clock, 15)
    assert silent_for(silence, clock, 1)


def test_an_answer_forgives_every_silence_before_it():
    clock, silence = FakeClock(), Silence(15)
    for _ in range(5):
        assert not silent_for(silence, clock, 14)
        assert not silence.is_too_long(answered=True, now=clock.advance(1))


def test_a_driver_that_slept_itself_does_not_call_its_head_lost():
    clock, silence = FakeClock(), Silence(15)
    assert not silence.is_too_long(answered=True, now=clock())
    clock.advance(3600)
    assert not silent_for(silence, clock, 10)


def test_few_silent_answers_are_not_enough_however_long_they_took():
    clock, silence = FakeClock(), Silence(1)
    lost = [silence.is_too_long(answered=False, now=clock.advance(60)) for _ in range(MIN_SILENT_ASKS)]
    assert lost == [*[False] * (MIN_SILENT_ASKS - 1), True]


@pytest.mark.parametrize(("told", "limit_s"), [(None, 15), ("60", 15), ("12", 4), ("3", 1), ("soon", 15)])
def test_a_head_is_lost_before_ray_ends_the_process(monkeypatch, told, limit_s):
    if told is None:
        monkeypatch.delenv("RAY_gcs_rpc_server_reconnect_timeout_s", raising=False)
    else:
        monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", told)
    assert silence_limit() == limit_s


def test_a_head_says_its_versions_and_machines():
    nodes = [
        node_info(B, raylet_port=7, CPU=2, GPU=1),
        node_info(A, CPU=4),
        node_info(b"\x0c" * 28, state="DEAD", CPU=9),
    ]
    in_a_minute_ms = int((time.time() + 60) * 1000)
    with FakeHead(
        ray_version="1.2.3", python_version="3.9.1", nodes=nodes, leaving=[(B, in_a_minute_ms)]
    ).serving() as at:
        head = ClusterHead(at)
        assert head.versions(5) == Versions("1.2.3", "3.9.1")
        machines = head.machines(5)
        head.close()
    assert [(node.node, node.num_cpus, node.num_gpus) for node in machines.nodes] == [(A.hex(), 4, 0)]
    assert set(machines.raylets) == {A.hex(), B.hex()} and machines.raylets[B.hex()] == ("127.0.0.1", 7)
    assert 50 < machines.leaving[B.hex()] <= 60


def test_a_machine_that_goes_when_it_is_idle_has_no_deadline():
    with FakeHead(nodes=[node_info(A)], leaving=[(A, 0)]).serving() as at:
        head = ClusterHead(at)
        assert head.machines(5).leaving == {A.hex(): None}
        head.close()


def test_a_head_that_goes_is_lost_and_what_it_said_last_stands_until_then(monkeypatch):
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "0.3")
    with FakeHead(nodes=[node_info(A, CPU=1)]).serving() as at:
        head = ClusterHead(at)
        cluster = LiveCluster(head, B.hex())
        assert cluster.stays(A.hex()) and not cluster.stays(B.hex()) and not cluster.is_gone()
    assert cluster.is_gone()
    assert cluster.machines().nodes[0].node == A.hex()
    with pytest.raises(HeadLost, match=r"Ray at 127.0.0.1:.*the cluster's head is gone; the same command resumes"):
        while True:
            cluster.machines()
            time.sleep(0.01)
    head.close()


def test_a_head_that_comes_back_is_not_lost(monkeypatch):
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "20")
    with nobody() as at:
        port = int(at.rpartition(":")[2])
    fake = FakeHead(nodes=[node_info(A, CPU=1)])
    head = ClusterHead(at)
    cluster = LiveCluster(head, B.hex())
    assert cluster.is_gone()
    with fake.serving(port):
        assert cluster.machines().nodes[0].node == A.hex() and not cluster.is_gone()
    head.close()


@contextmanager
def restarted(*node_ids, state="ALIVE", token=None):
    """A session at A that was answered, and whose head another one then replaced; Ray on this machine still listens."""
    with mute() as raylet:
        port = int(raylet.rpartition(":")[2])
        with FakeHead(nodes=[node_info(id_, raylet_port=port, CPU=1) for id_ in (A, B)]).serving() as at:
            head = ClusterHead(at)
            cluster = LiveCluster(head, A.hex())
            assert cluster.stays(A.hex()) and not cluster.is_gone()
        nodes = [node_info(id_, raylet_port=port, state=state, CPU=3) for id_ in node_ids]
        with FakeHead(nodes=nodes, token=token).serving(int(at.rpartition(":")[2])):
            while not answers(head):
                pass
            yield cluster
        head.close()


def answers(head):
    try:
        head.node_infos(5)
    except TokenRefused:
        return True
    except HeadSilent:
        return False
    return True


@pytest.mark.parametrize(
    ("node_ids", "how"),
    [((A, B), {"token": "another"}), ((), {}), ((B,), {}), ((A, B), {"state": "DEAD"})],
    ids=["another token", "no node", "other nodes", "dead nodes"],
)
def test_a_head_that_was_started_anew_is_not_the_one_of_the_session(node_ids, how):
    with restarted(*node_ids, **how) as cluster:
        assert cluster.is_gone()
        for _ in range(2):
            with pytest.raises(HeadLost, match="the cluster's head is gone; the same command resumes"):
                cluster.machines()


def test_a_head_that_was_started_anew_and_knows_this_machine_is_not_lost():
    with restarted(A) as cluster:
        assert not cluster.is_gone() and cluster.machines().nodes[0].num_cpus == 3


def test_ray_of_this_machine_that_died_is_lost_at_once():
    with socket.socket() as raylet:
        raylet.bind(("127.0.0.1", 0))
        raylet.listen()
        with FakeHead(nodes=[node_info(A, raylet_port=raylet.getsockname()[1])]).serving() as at:
            head = ClusterHead(at)
            cluster = LiveCluster(head, A.hex())
            cluster.machines()
            assert not cluster.is_gone()
            raylet.close()
            with pytest.raises(HeadLost):
                cluster.machines()
            head.close()


def test_a_cluster_grows_where_an_autoscaler_of_either_kind_has_types_of_its_own():
    head = FakeHead()
    with head.serving() as address:
        asked = ClusterHead(address)
        assert not asked.grows(5)
        head.types = {"ab12": "node_ab12"}  # Ray calls each node a type where nothing can be added
        assert not asked.grows(5)
        head.types = {"ab12": "head"}
        assert asked.grows(5)
        head.types, head.autoscaler_version = None, 3
        assert asked.grows(5)
        asked.close()


def test_groups_that_have_their_place_are_known_by_their_nodes():
    def group(id_, state, node):
        data = gcs_pb2.PlacementGroupTableData(placement_group_id=id_, state=state)
        data.bundles.add().node_id = node
        return data

    head = FakeHead()
    head.groups = (group(b"\x01" * 18, "CREATED", A), group(b"\x02" * 18, "PENDING", b""))
    with head.serving() as address:
        asked = ClusterHead(address)
        assert asked.placed_groups(5) == {"01" * 18: {A.hex()}}
        asked.close()
