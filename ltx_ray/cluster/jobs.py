"""Jobs of a cluster, over HTTP from any machine: the job server listens beside the cluster's dashboard.

A job is a command that runs on the head of the cluster, with a folder that travels there. Ray runs it once, keeps its
output, and refuses an id for ever that was used before.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import ray
import requests
from aiohttp import ClientError
from ray.job_submission import JobSubmissionClient

from ltx_ray.cluster.address import HEAD_PORT
from ltx_ray.cluster.environment import AUTH_MODE, environment_restored
from ltx_ray.cluster.join import GIVE_TOKEN, first_sentence, reread_environment
from ltx_ray.errors import DoesNotFit, HeadLost, PlanError

State = Literal["pending", "running", "succeeded", "failed", "stopped"]

#: Where the dashboard of a cluster listens unless it is told otherwise.
DASHBOARD_PORT = 8265
#: What the server takes in one request, which is how a folder travels.
MAX_FOLDER_BYTES = 100 * 2**20
#: Between looks at a job that does not follow its output.
LOOK_S = 0.5
#: A server that does not answer is asked so often before it counts as gone; a head that is busy stalls for seconds.
MAX_SILENT_ASKS, SILENT_S = 6, 5.0

#: Ray would take the address of another cluster from these, whatever it is given.
_ADDRESSES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
_TALKATIVE = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)
_RUN, _NUMBERED = "ltx_ray_run", re.compile(r"(.*)-(\d+)")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt at a run, by a job of the cluster."""

    id: str
    run: str  #: as it was submitted
    state: State
    began_ms: int | None  #: since 1970
    ended_ms: int | None
    exit_code: int | None  #: of its command; None = it has not ended, or never began
    message: str  #: what Ray says of it

    @property
    def is_live(self) -> bool:
        return self.state in ("pending", "running")


class IdTaken(Exception):
    """A job with this id was submitted before."""


class JobServer:
    """The job server at ``http://HOST:PORT``. Every method raises DoesNotFit where it does not answer as one."""

    def __init__(self, address: str) -> None:
        """Raises:
        DoesNotFit: no job server answers there, or it wants another token.
        """
        self.address = _url(address)
        self.where = f"--address {address}"
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            with environment_restored(AUTH_MODE, *_ADDRESSES):
                for name in _ADDRESSES:
                    os.environ.pop(name, None)
                self._client = self._connected()
        finally:
            reread_environment()

    def jobs(self, run: str | None = None) -> list[Job]:
        """The jobs of a run, or of every run, in the order in which they were submitted."""
        found = self._asked(self._client.list_jobs)
        jobs = [_job(info) for info in found if info.submission_id and _RUN in (info.metadata or {})]
        chosen = [job for job in jobs if run is None or job.run == run]
        return sorted(chosen, key=lambda job: (job.began_ms or 0, number_of(job.id)))

    def submit(self, id_: str, command: str, *, run: str | None, folder: Path | None, env: Mapping[str, str]) -> None:
        """Start ``command`` in a copy of ``folder``; ``run`` None = it renders none, and is in no list.

        Raises:
            IdTaken: there was a job of this id.
        """
        runtime: dict[str, Any] = {"env_vars": dict(env)}
        if folder is not None:
            runtime["working_dir"] = str(folder)

        metadata = {} if run is None else {_RUN: run}
        submit = partial(
            self._client.submit_job, entrypoint=command, submission_id=id_, runtime_env=runtime, metadata=metadata
        )
        try:
            self._asked(submit)
        except DoesNotFit as error:
            if "already exists" in str(error.__cause__):
                raise IdTaken(id_) from error
            raise

    def job(self, id_: str) -> Job:
        return _job(self._asked(lambda: self._client.get_job_info(id_)))

    def stop(self, id_: str) -> bool:
        """Ask a job to end; whether there was anything to stop."""
        return self._asked(lambda: self._client.stop_job(id_))

    def forget(self, id_: str) -> None:
        """Take a job that has ended off the list of the cluster."""
        self._asked(lambda: self._client.delete_job(id_))

    def output(self, id_: str) -> str:
        """All that a job has written so far, on standard output and standard error."""
        return self._asked(lambda: self._client.get_job_logs(id_))

    def follow(self, id_: str) -> Iterator[str]:
        """What a job writes, in pieces, until it has ended. A connection that breaks is opened again.

        Raises:
            HeadLost: the server went away.
        """
        num_told = num_silent = 0
        while True:
            num_seen = 0
            try:
                for piece in self._pieces(id_):  # from the beginning, also when it is opened again
                    num_seen += len(piece)
                    if num_seen > num_told:
                        yield piece[len(piece) - (num_seen - num_told) :]
                        num_told, num_silent = num_seen, 0
                if not self.job(id_).is_live:
                    return
            except (DoesNotFit, RuntimeError, ClientError, OSError) as error:
                num_silent += 1
                if num_silent >= MAX_SILENT_ASKS:
                    raise HeadLost(self.address) from error
            time.sleep(SILENT_S if num_silent else LOOK_S)

    def _pieces(self, id_: str) -> Iterator[str]:
        """What the server sends of a job's output until it closes. Ray's client wants a loop, and ours may have one."""
        told: queue.SimpleQueue[str | BaseException | None] = queue.SimpleQueue()

        async def listen() -> None:
            async for piece in self._client.tail_job_logs(id_):
                told.put(piece)

        def run() -> None:
            try:
                asyncio.run(listen())
                told.put(None)
            except BaseException as error:
                told.put(error)

        threading.Thread(target=run, name="job-output", daemon=True).start()
        while (piece := told.get()) is not None:
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    def _connected(self) -> JobSubmissionClient:
        """A token is shown only to a server that asks for one, and then also where nobody chose the mode."""
        try:
            return self._asked(lambda: JobSubmissionClient(self.address))
        except DoesNotFit as refused:
            if not isinstance(refused.__cause__, ray.exceptions.AuthenticationError):
                raise
        _set_mode("token")
        return self._asked(lambda: JobSubmissionClient(self.address))

    def _asked(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except ray.exceptions.AuthenticationError as error:
            raise DoesNotFit(
                f"{self.where}: the cluster wants a token and does not accept this one; {GIVE_TOKEN}"
            ) from error
        except (ConnectionError, requests.exceptions.RequestException) as error:
            fix = f"give http://HOST:{DASHBOARD_PORT}, where the cluster's dashboard listens"
            raise DoesNotFit(f"{self.where}: no job server of Ray answers there ({_why(error)}); {fix}") from error
        except RuntimeError as error:
            raise DoesNotFit(f"{self.where}: the job server refuses: {_last_line(error)}") from error


def _url(address: str) -> str:
    """``http://HOST:PORT`` of what a person wrote.

    Raises:
        PlanError: it is no address of a job server.
    """
    where = f"--address {address or repr(address)}"
    scheme, mark, rest = address.partition("://")
    if not mark:
        scheme, rest = "http", address
    if scheme not in ("http", "https"):
        raise PlanError(f"{where}: is no address of a job server; give http://HOST:{DASHBOARD_PORT}")
    if not mark and rest.rpartition(":")[2] == str(HEAD_PORT):
        host = rest.rpartition(":")[0]
        what = "is where the head listens for nodes, and jobs go to the dashboard"
        raise PlanError(f"{where}: {what}; give http://{host}:{DASHBOARD_PORT}")
    host, colon, port = rest.rstrip("/").partition("/")[0].rpartition("@")[2].rpartition(":")
    if not (host if colon else port).strip("[]") or "@" in rest:
        raise PlanError(f"{where}: is no address of a job server; give http://HOST:{DASHBOARD_PORT}")
    return f"{scheme}://{rest.rstrip('/')}"


def _set_mode(mode: str) -> None:
    os.environ[AUTH_MODE] = mode
    reread_environment()


def _job(info: Any) -> Job:
    code = info.driver_exit_code
    return Job(
        id=info.submission_id,
        run=(info.metadata or {}).get(_RUN, ""),
        state=str(info.status.value).lower(),  # type: ignore[arg-type]
        began_ms=info.start_time,
        ended_ms=info.end_time,
        exit_code=128 - code if code is not None and code < 0 else code,  # as a shell says that a signal ended it
        message=info.message or "",
    )


def number_of(id_: str) -> int:
    """3 of ``films-3``."""
    found = _NUMBERED.fullmatch(id_)
    return int(found[2]) if found else 0


def _why(error: BaseException) -> str:
    """In a few words; the classes of a library say nothing to a person."""
    inner = first_sentence(error)
    reason = re.search(r"Connection refused|timed out|Name or service not known|Network is unreachable|refused", inner)
    return reason[0].lower() if reason else inner[:200]


def _last_line(error: BaseException) -> str:
    """What the server says in the end: above it stands a traceback of its own."""
    lines = [line.strip() for line in str(error).replace("\\n", "\n").splitlines() if line.strip(" .")]
    return lines[-1].rstrip(".")[:300] if lines else type(error).__name__
