"""Joining a Ray cluster, or starting one inside this process, and reading what it has."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from typing import Any

import ray

from ltx_ray.errors import DoesNotFit
from ltx_ray.spec.machine import Node

#: A head that is there answers at once; one behind a slow network within this.
CONNECT_TIMEOUT_S = 10.0


@contextmanager
def ray_session(address: str | None) -> Iterator[None]:
    """A connection to the cluster at ``address``; None starts Ray here, bound to loopback, and ends it afterwards.

    A session that the calling program opened before is used, and left open.

    Inside the block standard output is standard error: what Ray says of lost workers and nodes goes to standard output
    by default, into the middle of ours, and to its last moment.

    Raises:
        DoesNotFit: nothing answers at ``address``.
    """
    if ray.is_initialized():
        with redirect_stdout(sys.stderr):
            yield
        return
    if address is not None:
        _check_answers(address)
    with redirect_stdout(sys.stderr):
        with _signals_kept(), _hangups_blocked():
            _connect(address)
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself when it starts; whoever had the signals before gets them back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _hangups_blocked() -> Iterator[None]:
    """Processes that are started in the block never hear of a SIGHUP; this one hears of it at the end of the block.

    A terminal that closes sends it to all of them. They would die before this process has stopped their tasks.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _connect(address: str | None) -> None:
    init = partial(ray.init, log_to_driver=False, logging_level=logging.ERROR)
    try:
        if address is None:
            init(address="local", include_dashboard=False, _node_ip_address="127.0.0.1")
        else:
            init(address=address)
    except UnicodeEncodeError as error:  # it notes both with the job, and knows no other names
        raise DoesNotFit(
            f"cluster: Ray cannot start with {error.object[error.start : error.end]!a} in the command line or in "
            "the path of the working directory, which it reads as UTF-8; name others, set PYTHONUTF8=1 if they are "
            "UTF-8, or render with --inline"
        ) from error
    except (ConnectionError, TimeoutError, ValueError) as error:
        mode = os.environ.get("RAY_AUTH_MODE", "disabled")
        raise DoesNotFit(
            f"--address {address}: no Ray cluster answers there, or it refuses us ({error}); RAY_AUTH_MODE is {mode}, "
            "and must be as the cluster was started with"
        ) from error


def _check_answers(address: str) -> None:
    """Refuse a host and port where nobody listens: Ray itself would try for minutes, then end the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return  # "auto" and other names are Ray's to look up
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S).close()
    except (OSError, OverflowError) as error:
        raise DoesNotFit(
            f"--address {address}: no Ray cluster answers there ({error}); start one with `ray start --head`, "
            "or leave --address out"
        ) from error


def nodes() -> list[Node]:
    """The machines that are alive and stay, in a stable order."""
    going = leaving_nodes()
    return [
        Node(node["NodeID"], int(node["Resources"].get("CPU", 0)), int(node["Resources"].get("GPU", 0)))
        for node in sorted(_alive(), key=lambda node: str(node["NodeID"]))
        if node["NodeID"] not in going
    ]


def stays(node_id: str) -> bool:
    """Whether a machine is alive and nobody has announced its end."""
    return any(node["NodeID"] == node_id for node in _alive()) and node_id not in leaving_nodes()


def leaving_nodes() -> dict[str, float | None]:
    """Machines that drain, as spot ones do before they are taken: seconds until each goes; None = when it is idle."""
    # Ray has no public call for this; its own trainer asks here.
    told: dict[str, int] = ray._private.state.state.get_draining_nodes()
    return {node_id: at_ms / 1000 - time.time() if at_ms else None for node_id, at_ms in told.items()}


def _alive() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
