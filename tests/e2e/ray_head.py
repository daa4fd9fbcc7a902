"""A head of Ray as a person starts one: a process of its own, with its job server, on loopback and behind a token."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from ltx_ray.cluster.address import HEAD_PORT

TOKEN = "0123456789abcdef" * 4
#: A node that idles for so long goes again.
IDLE_MINUTES = 0.2


@dataclass(frozen=True)
class RayHead:
    address: str  #: of the job server
    gcs: str  #: where nodes and drivers join
    home: Path  #: of whoever runs it
    token: dict[str, str]  #: what a command needs in its environment to be let in

    @property
    def runs(self) -> Path:
        return self.home / "ltx_ray/runs"


@contextmanager
def ray_head(*arguments: str, port: int | None = None, **env: str) -> Iterator[RayHead]:
    """One head; all of it has ended after the block."""
    folder = Path(tempfile.mkdtemp(prefix="rh"))  # a path of pytest is too long for its sockets
    ports = free_ports(5)
    ports[0] = port or ports[0]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environ |= {
        "HOME": str(folder),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RAY_TMPDIR": str(folder),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
    } | env
    command = [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--node-ip-address=127.0.0.1"),
        *(f"--port={ports[0]}", f"--dashboard-port={ports[1]}", f"--dashboard-agent-listen-port={ports[2]}"),
        *(f"--dashboard-agent-grpc-port={ports[3]}", f"--ray-client-server-port={ports[4]}"),
        *arguments,
    ]
    said = folder / "said"
    with said.open("wb") as output:
        process = subprocess.Popen(command, env=environ, cwd=folder, stdout=output, stderr=output)
    try:
        address = f"http://127.0.0.1:{ports[1]}"
        _wait_for(address, process, said)
        yield RayHead(address, f"127.0.0.1:{ports[0]}", folder, {"RAY_AUTH_TOKEN": TOKEN})
    finally:
        started = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        process.terminate()
        _, alive = psutil.wait_procs(started, timeout=6)
        for left in [*alive, *(each for each in psutil.process_iter() if _is_of(each, folder))]:
            left.kill()
        process.wait(timeout=15)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def growing_head(**types: Mapping[str, object]) -> Iterator[RayHead]:
    """A head without resources whose autoscaler starts nodes of these types as processes of this machine.

    Args:
        types: resources and max_workers of each.
    """
    config: dict[str, object] = {
        "cluster_name": "fake",
        "max_workers": 8,
        "idle_timeout_minutes": IDLE_MINUTES,
        "upscaling_speed": 1,
        "provider": {"type": "fake_multinode", "disable_node_updaters": True, "disable_launch_config_check": True},
        "head_node_type": "ray.head.default",
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            **{name: {"node_config": {}, "min_workers": 0} | dict(of) for name, of in types.items()},
        },
        "file_mounts_sync_continuously": False,
    }
    config |= {name: {} for name in ("docker", "auth", "head_node", "worker_nodes", "file_mounts")}
    for name in ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray"):
        config[f"{name}_commands"] = []
    for name in ("cluster_synced_files", "rsync_exclude", "rsync_filter"):
        config[name] = []
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(config, file)
        file.flush()
        env = {"AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_FAKE_CLUSTER": "1"}
        # Nodes of the fake provider look for their head at Ray's default port.
        with ray_head("--num-cpus=0", f"--autoscaling-config={file.name}", port=HEAD_PORT, **env) as head:
            yield head


def free_ports(num_ports: int) -> list[int]:
    """Ports nobody listens on now."""
    sockets = [socket.socket() for _ in range(num_ports)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _wait_for(address: str, process: subprocess.Popen, said: Path) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until:
        assert process.poll() is None, said.read_text()
        try:
            request = urllib.request.Request(f"{address}/api/jobs/", headers={"Authorization": f"Bearer {TOKEN}"})
            with urllib.request.urlopen(request, timeout=5):
                return
        except OSError:
            time.sleep(0.3)
    raise AssertionError(said.read_text())


def _is_of(process: psutil.Process, folder: Path) -> bool:
    """Whether a process runs out of the session in ``folder``."""
    try:
        return any(str(folder) in word for word in process.cmdline())
    except psutil.Error:
        return False
