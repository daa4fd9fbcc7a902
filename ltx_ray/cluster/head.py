"""The head of a cluster, asked with a deadline.

Ray's own calls wait a minute for a head that is gone, and then end the process without a word. So what a render must
know of its cluster, who is there and who goes, is asked of the head's gRPC services, and a silence is a fact here.
"""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import grpc
from ray._private import ray_constants
from ray._private.grpc_utils import init_grpc_channel
from ray.core.generated import autoscaler_pb2, autoscaler_pb2_grpc
from ray.core.generated import gcs_service_pb2 as messages
from ray.core.generated import gcs_service_pb2_grpc as services

from ltx_ray.errors import HeadLost
from ltx_ray.spec.machine import Node

#: Deadline of a question in a running render. The loop waits meanwhile.
ASK_TIMEOUT_S = 3.0
#: A head that is silent for so long is lost: a busy one stalls for seconds. Ray itself gives up after RECONNECT_S.
SILENCE_S = 15.0
RECONNECT_S = "RAY_gcs_rpc_server_reconnect_timeout_s"
#: An autoscaler reports every five seconds by default.
AUTOSCALER_S = 8.0
#: One silent answer may be an accident of the network, whatever the clock says.
MIN_SILENT_ASKS = 3

_messages: Any = messages  # generated, without types
_services: Any = services
_scaling_messages: Any = autoscaler_pb2
_scaling_services: Any = autoscaler_pb2_grpc

OPTIONS = (
    *ray_constants.GLOBAL_GRPC_OPTIONS,
    ("grpc.max_receive_message_length", 2**29),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1000),  # two minutes by default: a head that is back would count as gone
)


class HeadSilent(Exception):
    """No answer, or none of a head of Ray; the text is the reason in a few words."""


class TokenRefused(Exception):
    """The head wants a token, and not the one it was shown."""


class Versions(NamedTuple):
    ray: str
    python: str


class Machines(NamedTuple):
    """What the head said last."""

    nodes: tuple[Node, ...]  #: alive, and nobody has announced their end; in a stable order
    raylets: dict[str, tuple[str, int]]  #: node id -> where Ray listens there, of all nodes that are alive
    leaving: dict[str, float | None]  #: node ids that drain -> seconds until they go; None = when they are idle


@dataclass(slots=True)
class Silence:
    """How long a head has not answered, from its first silent answer on: a driver that slept itself heard nothing."""

    limit_s: float
    since: float | None = None
    num_asks: int = 0

    def is_too_long(self, *, answered: bool, now: float) -> bool:
        """Note one answer, or its absence; return whether the head is lost."""
        if answered:
            self.since, self.num_asks = None, 0
            return False
        self.since = now if self.since is None else self.since
        self.num_asks += 1
        return self.num_asks >= MIN_SILENT_ASKS and now - self.since >= self.limit_s


def silence_limit() -> float:
    """Seconds of silence after which a head is lost: well before Ray ends the process, which a person may have set."""
    try:
        return min(SILENCE_S, float(os.environ[RECONNECT_S]) / 3)
    except (KeyError, ValueError):
        return SILENCE_S


class ClusterHead:
    """The head at ``HOST:PORT``; shows the token of this process where Ray is in token mode."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._channel = init_grpc_channel(address, options=OPTIONS)
        self._nodes = _services.NodeInfoGcsServiceStub(self._channel)
        self._values = _services.InternalKVGcsServiceStub(self._channel)
        self._resources = _services.NodeResourceInfoGcsServiceStub(self._channel)
        self._groups = _services.PlacementGroupInfoGcsServiceStub(self._channel)
        self._scaling = _scaling_services.AutoscalerStateServiceStub(self._channel)

    def close(self) -> None:
        self._channel.close()

    def versions(self, timeout_s: float) -> Versions | None:
        """With what the cluster was started; None = it does not tell.

        Raises:
            HeadSilent, TokenRefused.
        """
        request = _messages.InternalKVGetRequest(key=b"CLUSTER_METADATA", namespace=b"cluster")
        answer = _ask(self._values.InternalKVGet, request, timeout_s)
        try:
            told = json.loads(answer.value)
            return Versions(str(told["ray_version"]), str(told["python_version"]))
        except (ValueError, KeyError, TypeError):
            return None

    def node_infos(self, timeout_s: float) -> list[Any]:
        """Every node that is alive, as Ray's ``GcsNodeInfo``. Raises HeadSilent, TokenRefused."""
        infos = _ask(self._nodes.GetAllNodeInfo, _messages.GetAllNodeInfoRequest(), timeout_s).node_info_list
        return [info for info in infos if info.state == info.ALIVE]

    def grows(self, timeout_s: float) -> bool:
        """Whether an autoscaler adds machines that work waits for. Raises HeadSilent, TokenRefused."""
        request = _scaling_messages.GetClusterStatusRequest()
        state = _ask(self._scaling.GetClusterStatus, request, timeout_s).autoscaling_state
        if state.autoscaler_state_version:  # the second kind, which KubeRay runs
            return True
        request = _messages.InternalKVGetRequest(key=b"__autoscaling_status")
        return _is_of_growing(_ask(self._values.InternalKVGet, request, timeout_s).value)

    def placed_groups(self, timeout_s: float) -> dict[str, set[str]]:
        """Placement groups that have their place: id -> the nodes. Raises HeadSilent, TokenRefused."""
        request = _messages.GetAllPlacementGroupRequest()
        found = _ask(self._groups.GetAllPlacementGroup, request, timeout_s).placement_group_table_data
        return {
            group.placement_group_id.hex(): {bundle.node_id.hex() for bundle in group.bundles}
            for group in found
            if group.state == group.CREATED
        }

    def machines(self, timeout_s: float) -> Machines:
        """Raises HeadSilent, TokenRefused."""
        infos = self.node_infos(timeout_s)
        draining = _ask(self._resources.GetDrainingNodes, _messages.GetDrainingNodesRequest(), timeout_s)
        leaving = {node.node_id.hex(): _left_s(node) for node in draining.draining_nodes}
        nodes = sorted((_node(info) for info in infos), key=lambda node: node.node)
        return Machines(
            tuple(node for node in nodes if node.node not in leaving),
            {info.node_id.hex(): (info.node_manager_address, info.node_manager_port) for info in infos},
            leaving,
        )


def _node(info: Any) -> Node:
    total = info.resources_total
    return Node(info.node_id.hex(), int(total.get("CPU", 0)), int(total.get("GPU", 0)))


def _is_of_growing(status: bytes) -> bool:
    """What the first kind of autoscaler reports. One also runs where nothing can grow: it calls each node a type."""
    try:
        types = json.loads(status)["autoscaler_report"]["node_type_mapping"]
        return any(type_ != f"node_{node}" for node, type_ in types.items())
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def _left_s(draining: Any) -> float | None:
    at_ms: int = draining.draining_deadline_timestamp_ms
    return at_ms / 1000 - time.time() if at_ms else None


def _ask(call: Any, request: Any, timeout_s: float) -> Any:
    try:
        return call(request, timeout=timeout_s)
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.UNAUTHENTICATED:
            raise TokenRefused from error
        raise HeadSilent(why_silent(error.code().name, error.details() or "", timeout_s)) from error


def why_silent(code: str, details: str, timeout_s: float) -> str:
    """Words for a status of gRPC that is no answer."""
    if code == "DEADLINE_EXCEEDED":
        return f"nothing answered for {timeout_s:g} s"
    if code == "UNIMPLEMENTED" or "SETTINGS" in details or "HTTP" in details:
        return "what listens there is no head of Ray"
    reason = details.rpartition(": ")[2].strip().rstrip(".]") or code
    return reason[:1].lower() + reason[1:]


class LiveCluster:
    """The cluster of an open session. Each question may find that its head, or Ray on this machine, is gone.

    A head that was started anew at the same address is another one, and the session's is lost with it.

    Raises:
        HeadLost, from every method.
    """

    def __init__(self, head: ClusterHead, node_id: str) -> None:
        """``node_id``: the node through which this process is in the cluster."""
        self._head = head
        self._node_id = node_id
        self._silence = Silence(silence_limit())
        self._last: Machines | None = None

    @property
    def is_silent(self) -> bool:
        """Whether the last question had no answer."""
        return self._silence.since is not None

    def machines(self) -> Machines:
        """What the head says now; while it is silent, what it said last."""
        self._check_raylet()
        while not self._asked() and self._last is None:
            time.sleep(ASK_TIMEOUT_S / 10)
        assert self._last is not None
        return self._last

    def grows(self) -> bool:
        """Whether machines are added that work waits for; a silent head is not known to.

        Where there is no machine yet, an autoscaler that has only just begun is waited for.
        """
        give_up_at = time.monotonic() + AUTOSCALER_S
        while True:
            with suppress(HeadSilent, TokenRefused):
                if self._head.grows(ASK_TIMEOUT_S):
                    return True
            if time.monotonic() > give_up_at or any(node.is_of_use for node in self.machines().nodes):
                return False
            time.sleep(0.5)

    def placed_groups(self) -> dict[str, set[str]]:
        """Placement groups that have their place, id -> nodes; none while the head is silent."""
        try:
            return self._head.placed_groups(ASK_TIMEOUT_S)
        except (HeadSilent, TokenRefused):
            return {}

    def stays(self, node_id: str) -> bool:
        """Whether a machine is alive and nobody has announced its end."""
        return any(node.node == node_id for node in self.machines().nodes)

    def is_gone(self) -> bool:
        """Whether the head or Ray on this machine is not there at this instant, be it for a moment."""
        try:
            self._check_raylet()
            self._answer()
        except (HeadLost, HeadSilent):
            return True
        return False

    def lost(self) -> HeadLost:
        return HeadLost(f"Ray at {self._head.address}")

    def _asked(self) -> bool:
        try:
            self._last = self._answer()
        except HeadSilent as silent:
            if self._silence.is_too_long(answered=False, now=time.monotonic()):
                raise self.lost() from silent
            return False
        return not self._silence.is_too_long(answered=True, now=time.monotonic())

    def _answer(self) -> Machines:
        """Raises HeadSilent; HeadLost if the head wants another token or no longer knows this node."""
        try:
            machines = self._head.machines(ASK_TIMEOUT_S)
        except TokenRefused as refused:
            raise self.lost() from refused
        if self._last is not None and self._node_id in self._last.raylets.keys() - machines.raylets.keys():
            raise self.lost()
        return machines

    def _check_raylet(self) -> None:
        """A raylet whose port is closed has died, and comes back as another node if at all."""
        raylet = None if self._last is None else self._last.raylets.get(self._node_id)
        if raylet is None:
            return
        try:
            socket.create_connection(raylet, timeout=ASK_TIMEOUT_S).close()
        except ConnectionRefusedError as error:
            raise self.lost() from error
        except OSError:
            pass  # a network that stalls; the head is asked next
