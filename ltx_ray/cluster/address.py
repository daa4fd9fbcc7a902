"""What the text of an address means, before anybody is asked. Imports no Ray.

    no text, `local`    start Ray here
    `auto`              the cluster this machine belongs to, or that of RAY_ADDRESS
    HOST:PORT           the head of a cluster

Text that cannot be an address is bad input (exit code 2). An address of another service of Ray is a real one, and
nothing that a render can join (exit code 5).
"""

from __future__ import annotations

from ltx_ray.errors import DoesNotFit, PlanError

AUTO, LOCAL = "auto", "local"
#: Where `ray start --head` listens unless it is told otherwise.
HEAD_PORT = 6379
#: Every port of TCP: Ray starts no head below 1024, but a port may be forwarded to one.
MIN_PORT, MAX_PORT = 1, 65535


def read_address(address: str | None, where: str | None = None) -> str | None:
    """``HOST:PORT``, ``auto``, or None to start Ray here. ``where`` is what to call the text, with its value.

    Raises:
        PlanError: the text is no address.
        DoesNotFit: it is an address of something else.
    """
    if address is None or address == LOCAL:
        return None
    if address == AUTO:
        return AUTO
    where = where or f"--address {address or repr(address)}"
    scheme, mark, rest = address.partition("://")
    if mark:
        raise DoesNotFit(f"{where}: {_other_service(scheme, rest)}")
    host, colon, port = address.rpartition(":")
    if not host.strip("[]"):
        near = f"{address}:{HEAD_PORT}" if address and not colon else "HOST:PORT of a cluster's head"
        raise PlanError(f"{where}: is not HOST:PORT; give {near}, or auto, or leave it out to start Ray here")
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and MIN_PORT <= int(port) <= MAX_PORT):
        rule = f"port {port[:20]!r} is not one of {MIN_PORT} to {MAX_PORT}"
        raise PlanError(f"{where}: {rule}; give the port that `ray start --head` printed, by default {HEAD_PORT}")
    return address


def _other_service(scheme: str, rest: str) -> str:
    place = rest.partition("/")[0].rpartition("@")[2]
    host = place.rpartition(":")[0] or place or "HOST"
    what = {"ray": "a Ray Client server", "http": "a dashboard", "https": "a dashboard"}.get(scheme, "nothing of Ray")
    form = f"on a machine of the cluster, give --address {host}:{HEAD_PORT}"
    return f"is the address of {what}, and a render joins the cluster's head; {form}"
