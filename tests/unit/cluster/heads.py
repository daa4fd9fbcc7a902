"""A head of a cluster as the network sees it: a gRPC server on loopback that answers what a test says."""

from __future__ import annotations

import json
import platform
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import grpc
import ray
from ray.core.generated import autoscaler_pb2, autoscaler_pb2_grpc, gcs_pb2, gcs_service_pb2, gcs_service_pb2_grpc


class FakeHead(
    gcs_service_pb2_grpc.NodeInfoGcsServiceServicer,
    gcs_service_pb2_grpc.InternalKVGcsServiceServicer,
    gcs_service_pb2_grpc.NodeResourceInfoGcsServiceServicer,
    gcs_service_pb2_grpc.PlacementGroupInfoGcsServiceServicer,
    autoscaler_pb2_grpc.AutoscalerStateServiceServicer,
):
    """Answers as Ray's does, under Ray's names; ``token`` None wants none."""

    def __init__(self, *, ray_version=ray.__version__, python_version=None, token=None, nodes=(), leaving=()):
        self.types = None  #: node -> type, as the first kind of autoscaler reports
        self.autoscaler_version = 0  #: of the second kind
        self.groups = ()
        self.metadata = {"ray_version": ray_version, "python_version": python_version or platform.python_version()}
        self.token, self.nodes, self.leaving = token, nodes, leaving

    def _let_in(self, context):
        shown = dict(context.invocation_metadata()).get("authorization")
        if self.token is not None and shown != f"Bearer {self.token}":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken")

    def InternalKVGet(self, request, context):  # noqa: N802
        self._let_in(context)
        if request.key == b"__autoscaling_status":
            report = {"autoscaler_report": {"node_type_mapping": self.types}}
            return gcs_service_pb2.InternalKVGetReply(value=json.dumps(report).encode() if self.types else b"")
        return gcs_service_pb2.InternalKVGetReply(value=json.dumps(self.metadata).encode())

    def GetClusterStatus(self, request, context):  # noqa: N802
        reply = autoscaler_pb2.GetClusterStatusReply()
        reply.autoscaling_state.autoscaler_state_version = self.autoscaler_version
        return reply

    def GetAllPlacementGroup(self, request, context):  # noqa: N802
        return gcs_service_pb2.GetAllPlacementGroupReply(placement_group_table_data=self.groups)

    def GetAllNodeInfo(self, request, context):  # noqa: N802
        self._let_in(context)
        return gcs_service_pb2.GetAllNodeInfoReply(node_info_list=self.nodes)

    def GetDrainingNodes(self, request, context):  # noqa: N802
        self._let_in(context)
        nodes = [
            gcs_service_pb2.DrainingNode(node_id=id_, draining_deadline_timestamp_ms=at) for id_, at in self.leaving
        ]
        return gcs_service_pb2.GetDrainingNodesReply(draining_nodes=nodes)

    @contextmanager
    def serving(self, port=0):
        """The address; nothing listens there after the block."""
        server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
        gcs_service_pb2_grpc.add_NodeInfoGcsServiceServicer_to_server(self, server)
        gcs_service_pb2_grpc.add_InternalKVGcsServiceServicer_to_server(self, server)
        gcs_service_pb2_grpc.add_NodeResourceInfoGcsServiceServicer_to_server(self, server)
        gcs_service_pb2_grpc.add_PlacementGroupInfoGcsServiceServicer_to_server(self, server)
        autoscaler_pb2_grpc.add_AutoscalerStateServiceServicer_to_server(self, server)
        port = server.add_insecure_port(f"127.0.0.1:{port}")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()


def node_info(node_id: bytes, *, raylet_port=0, state="ALIVE", **resources):
    return gcs_pb2.GcsNodeInfo(
        node_id=node_id,
        node_manager_address="127.0.0.1",
        node_manager_port=raylet_port,
        state=state,
        resources_total=resources,
    )


@contextmanager
def nobody():
    """An address where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


@contextmanager
def mute():
    """An address that accepts whoever comes, and says nothing."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield f"127.0.0.1:{held.getsockname()[1]}"


@contextmanager
def web(handler=BaseHTTPRequestHandler):
    """A server of web pages, as a dashboard is; without a ``handler`` of no page."""
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def other_service():
    """A gRPC server that is no head, as a Ray Client server is."""
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
