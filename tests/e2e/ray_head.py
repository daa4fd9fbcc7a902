"""A head of Ray as a person starts one: a process of its own, with its job server, on loopback and behind a token."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

TOKEN = "0123456789abcdef" * 4


@dataclass(frozen=True)
class RayHead:
    address: str  #: of the job server
    home: Path  #: of whoever runs it
    token: dict[str, str]  #: what a command needs in its environment to be let in

    @property
    def runs(self) -> Path:
        return self.home / "ltx_ray/runs"


@contextmanager
def ray_head(*arguments: str, **env: str) -> Iterator[RayHead]:
    """One head; all of it has ended after the block."""
    folder = Path(tempfile.mkdtemp(prefix="rh"))  # a path of pytest is too long for its sockets
    ports = free_ports(5)
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
        yield RayHead(address, folder, {"RAY_AUTH_TOKEN": TOKEN})
    finally:
        started = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        process.terminate()
        _, alive = psutil.wait_procs(started, timeout=15)
        for left in [*alive, *(each for each in psutil.process_iter() if _is_of(each, folder))]:
            left.kill()
        process.wait(timeout=15)
        shutil.rmtree(folder, ignore_errors=True)


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
