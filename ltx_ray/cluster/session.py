"""Joining a Ray cluster, or starting one inside this process; whatever keeps Ray from it is one sentence."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple

import ray
from ray._private import node

from ltx_ray.cluster.address import read_address
from ltx_ray.cluster.environment import AUTH_MODE, TOKENS, environment_restored, own_token
from ltx_ray.cluster.head import ClusterHead, LiveCluster
from ltx_ray.cluster.join import check_cluster, first_sentence, reread_environment
from ltx_ray.cluster.owner import OwnerThread, owner_left_behind
from ltx_ray.cluster.places import choose_places
from ltx_ray.errors import DoesNotFit, HeadLost

#: A Ray that starts is looked at so often.
LOOK_S, TURN_MS = 0.1, 100
#: Ray on a busy machine takes half a minute to start, and notices by itself most of what takes longer.
START_LIMIT_S = 120.0
#: A process of Ray that ended as it started is reported after so long, unless Ray reports it first.
DEAD_S = 1.0
#: Ray ends within two seconds, without its head within fifteen. A start that is no longer wanted may come to its end
#: and be ended in order; then all of it still ends within ten.
END_S, LOST_END_S, UNWANTED_END_S = 30.0, 1.0, 6.0
#: Ray of an earlier session of this process, which lost its head, gets so long to go.
LEFT_BEHIND_S = 60.0
#: The store of objects where it cannot be in shared memory; what a render passes through Ray is small.
SMALL_STORE_BYTES = 2**30

#: Of what Ray says, so much is repeated.
MAX_REASON = 300

Check = Callable[[], None]


class Beginning(NamedTuple):
    """How a session is opened, and what to say where that fails."""

    begin: Callable[[], object]
    where: str
    remedy: str

    def failed(self, why: str) -> DoesNotFit:
        return DoesNotFit(f"{self.where}: {why}; {self.remedy}, and --inline renders without Ray")


_node: Any = node  # its names are not declared as exported


@contextmanager
def ray_session(address: str | None, check: Check = lambda: None) -> Iterator[LiveCluster]:
    """A connection to the cluster at ``address``; None starts Ray here, and ends it afterwards.

    A session that the calling program opened before is used, and left open. ``check`` is called while Ray starts; what
    it raises ends the start, with every process of it.

    Raises:
        PlanError, DoesNotFit: there is no such cluster, or Ray cannot start.
        HeadLost: the head was lost, in the block or before it.
    """
    if (left := owner_left_behind()) is not None:
        left.join(LEFT_BEHIND_S)
    if ray.is_initialized():
        with _live() as cluster:
            yield cluster
        return
    with _environment():
        beginning = _beginning(address, check)
        owner = OwnerThread(beginning.begin, ray.shutdown)
        end_s = UNWANTED_END_S
        try:
            try:
                _open(owner, beginning, check)
            except DoesNotFit:
                end_s = LOST_END_S
                raise
            with _live() as cluster:
                end_s = END_S
                yield cluster
        except HeadLost:
            end_s = LOST_END_S
            raise
        finally:
            owner.close(end_s)


@contextmanager
def _environment() -> Iterator[None]:
    """Ray and we set mode and token of a session in the environment; after it they are as they were."""
    try:
        with environment_restored(AUTH_MODE, *TOKENS):
            yield
    finally:
        reread_environment()


def _beginning(address: str | None, check: Check) -> Beginning:
    """What opens the session, after all that can be looked at before."""
    init = partial(ray.init, log_to_driver=False, logging_level=logging.ERROR)
    if (read := read_address(address)) is None:
        return _beginning_here(init)
    try:
        target = check_cluster(read)
    except DoesNotFit:
        check()  # who was asked to stop meanwhile has that to report
        raise
    return Beginning(
        partial(init, address=target), f"--address {address}", "see `ray status` on a machine of the cluster"
    )


def _beginning_here(init: Callable[..., object]) -> Beginning:
    places = choose_places(os.environ)
    if token := own_token(os.environ):
        os.environ.update(token)
        reread_environment()
    options: dict[str, object] = {}
    if places.is_asked_of_ray:
        options["_temp_dir"] = str(places.temp)
    if places.objects is not None:
        options |= {"_plasma_directory": str(places.objects), "object_store_memory": SMALL_STORE_BYTES}
    init = partial(init, address="local", include_dashboard=False, _node_ip_address="127.0.0.1", **options)
    logs = places.temp / "session_latest/logs"
    return Beginning(partial(_start, init), "Ray on this machine", f"its logs are in {logs}")


def _start(init: Callable[[], object]) -> None:
    """Start Ray so that other threads run meanwhile: it lets none while it waits for its head's port, half a minute."""
    wait = getattr(_node, "wait_for_persisted_port", None)
    if wait is None:  # another release of Ray, which waits in its own way
        init()
        return

    def wait_in_turns(*args: object, timeout_ms: int) -> int:
        give_up_at = time.monotonic() + timeout_ms / 1000
        while time.monotonic() < give_up_at:
            with suppress(RuntimeError):  # not yet
                return int(wait(*args, timeout_ms=TURN_MS))
            time.sleep(LOOK_S / 10)
        return int(wait(*args, timeout_ms=0))

    _node.wait_for_persisted_port = wait_in_turns
    try:
        init()
    finally:
        _node.wait_for_persisted_port = wait


def _open(owner: OwnerThread, beginning: Beginning, check: Check) -> None:
    """Wait for the session. A start that is slow is left alone; one that has failed, or never ends, is a sentence."""
    try:
        owner.start()
    except RuntimeError as error:  # the system gives no more threads
        raise beginning.failed(f"did not start ({reason_of(error)})") from error
    give_up_at, dead_at = time.monotonic() + START_LIMIT_S, 0.0
    while not owner.is_settled(LOOK_S):
        check()
        now = time.monotonic()
        name = owner.dead_child()
        dead_at = now if name is None else dead_at
        if name is not None and now - dead_at > DEAD_S:
            raise beginning.failed(f"its process {name} ended as it started")
        if now > give_up_at:
            raise beginning.failed(f"did not start within {START_LIMIT_S:g} s")
    if isinstance(odd := owner.error, UnicodeEncodeError):  # it notes both with the job, and knows no other names
        raise DoesNotFit(
            f"cluster: Ray cannot start with {odd.object[odd.start : odd.end]!a} in the command line or in "
            "the path of the working directory, which it reads as UTF-8; name others, set PYTHONUTF8=1 if they are "
            "UTF-8, or render with --inline"
        ) from odd
    if owner.error is not None:
        check()
        raise beginning.failed(f"did not start ({reason_of(owner.error)})") from owner.error


@contextmanager
def _live() -> Iterator[LiveCluster]:
    """The cluster of the session that is open. Errors of Ray inside the block may come of a head that is gone."""
    context = ray.get_runtime_context()
    head = ClusterHead(context.gcs_address)
    try:
        cluster = LiveCluster(head, context.get_node_id())
        cluster.machines()
        try:
            yield cluster
        except ray.exceptions.RayError as error:
            if cluster.is_gone():
                raise cluster.lost() from error
            raise
    finally:
        head.close()


def reason_of(error: BaseException) -> str:
    """What an error of Ray says, in one line, and what its cause says, which mostly is the reason."""
    said = [first_sentence(error)]
    if error.__cause__ is not None:
        said.append(first_sentence(error.__cause__))
    return ": ".join(line[:MAX_REASON] for line in said)
