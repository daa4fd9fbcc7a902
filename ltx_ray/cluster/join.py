"""What must be true of a cluster before Ray is asked to join it, each looked at with a deadline.

Ray itself tries for minutes where nobody answers, ends the process where the head refuses it, and waits for ever for
workers that show another token than this process.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from typing import Any, TypeVar

import ray
from ray._common.utils import get_ray_address_file
from ray._private import services

from ltx_ray.cluster.address import AUTO, read_address
from ltx_ray.cluster.environment import AUTH_MODE
from ltx_ray.cluster.head import ClusterHead, HeadSilent, TokenRefused, Versions
from ltx_ray.errors import DoesNotFit

#: Deadline of the first answer of a head.
ANSWER_S = 5.0
#: Ray on this machine may only just have come up.
NODE_S = 3.0

START_ONE = "start one with `ray start --head`, or leave --address out"
GIVE_TOKEN = "give the cluster's token by RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token"

T = TypeVar("T")

_native: Any = ray._raylet  # compiled, without types


def check_cluster(address: str) -> str:
    """``HOST:PORT`` of a cluster that this process can join; RAY_AUTH_MODE is set as the cluster has it.

    Args:
        address: as ``read_address`` returns it.
    Raises:
        DoesNotFit: it cannot be joined, and why.
    """
    where, target = find_head(address) if address == AUTO else (f"--address {address}", address)
    _agree_on_token(where, target)
    head = ClusterHead(target)
    try:
        if (theirs := _answer(where, lambda: head.versions(ANSWER_S))) is not None:
            _check_versions(where, theirs)
        _check_is_member(where, target, head)
    finally:
        head.close()
    return target


def find_head(address: str) -> tuple[str, str]:
    """What to call the cluster of this machine in an error, and its ``HOST:PORT``."""
    where = f"--address {address}"
    named = os.environ.get("RAY_ADDRESS")
    if named and named != AUTO:
        where = f"{where} with RAY_ADDRESS={named}"
        target = read_address(named, where)
        if target is None:
            raise DoesNotFit(f"{where}: names no cluster; {START_ONE}")
        return where, target
    try:
        target = services.canonicalize_bootstrap_address(AUTO)
        noted = services.find_bootstrap_address(None)
        is_noted = noted is not None and services.canonicalize_bootstrap_address(noted) == target
    except (OSError, ValueError) as error:  # ConnectionError where there is none
        raise DoesNotFit(f"{where}: no Ray cluster runs on this machine; {START_ONE}") from error
    assert target is not None
    source = f", {noted} by {get_ray_address_file(None)}" if is_noted else f", {target} by its processes"
    return where + source, target


def reread_environment() -> None:
    """Let Ray see a changed RAY_AUTH_MODE and token; it reads them once."""
    _native.Config.initialize("")
    _native.AuthenticationTokenLoader.instance().reset_cache()


def _agree_on_token(where: str, target: str) -> None:
    """Set RAY_AUTH_MODE as the cluster has it: a mode of one's own makes a cluster that never finds its workers."""
    asked = os.environ.get(AUTH_MODE)
    if _is_let_in(where, target, "disabled"):
        if asked is not None and asked.lower() == "token":
            raise DoesNotFit(f"RAY_AUTH_MODE={asked}: {where} is a cluster without tokens; unset RAY_AUTH_MODE")
        return
    if asked is not None and asked.lower() != "token":
        raise DoesNotFit(f"RAY_AUTH_MODE={asked}: {where} is a cluster with a token; unset RAY_AUTH_MODE, {GIVE_TOKEN}")
    try:
        if _is_let_in(where, target, "token"):
            return
        what = "refuses the token of this machine"
    except ray.exceptions.AuthenticationError:  # there is none to show
        path = os.environ.get("RAY_AUTH_TOKEN_PATH")
        why = f"RAY_AUTH_TOKEN_PATH={path} cannot be read, or is empty" if path else "this machine has none"
        what = f"wants a token, and {why}"
    raise DoesNotFit(f"{where}: the cluster {what}; {GIVE_TOKEN}")


def _is_let_in(where: str, target: str, mode: str) -> bool:
    os.environ[AUTH_MODE] = mode
    reread_environment()
    head = ClusterHead(target)
    try:
        _answer(where, lambda: head.versions(ANSWER_S))
    except TokenRefused:
        return False
    finally:
        head.close()
    return True


def _check_versions(where: str, theirs: Versions) -> None:
    """Ray admits only processes of its own version, and of its Python to the patch level by default."""
    ours = Versions(ray.__version__, platform.python_version())
    if theirs.ray != ours.ray:
        fix = f"install ray=={theirs.ray} here, or ray=={ours.ray} on every node"
        raise DoesNotFit(f"{where}: the cluster runs Ray {theirs.ray} and this is Ray {ours.ray}; {fix}")
    num_parts = 2 if os.environ.get("RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL") == "minor" else 3
    if theirs.python.split(".")[:num_parts] != ours.python.split(".")[:num_parts]:
        fix = "use the same Python here and on every node"
        raise DoesNotFit(f"{where}: the cluster runs Python {theirs.python} and this is {ours.python}; {fix}")


def _check_is_member(where: str, target: str, head: ClusterHead) -> None:
    """A driver works through the Ray of its own machine; without one Ray looks for it for a minute."""
    give_up_at = time.monotonic() + NODE_S
    while True:
        infos = _answer(where, lambda: head.node_infos(ANSWER_S))
        if {info.node_id.hex() for info in infos} & services.find_node_ids():  # type: ignore[no-untyped-call]
            return
        if time.monotonic() > give_up_at:
            fix = f"run the command on one, or join it here with `ray start --address={target}`"
            raise DoesNotFit(f"{where}: this machine is no node of that cluster; {fix}")
        time.sleep(0.3)


def _answer(where: str, ask: Callable[[], T]) -> T:
    try:
        return ask()
    except HeadSilent as silent:
        raise DoesNotFit(f"{where}: no Ray cluster answers there ({silent}); {START_ONE}") from silent


def first_sentence(error: BaseException) -> str:
    """What an error says, in one sentence; its name where it says nothing."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return line.partition(". ")[0].rstrip(".")
