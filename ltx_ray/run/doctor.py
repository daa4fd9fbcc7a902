"""What would keep a render from working, here or on every machine of a cluster: a line each, with the remedy."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from ltx_ray.errors import LtxRayError
from ltx_ray.spec.finding import Finding
from ltx_ray.spec.redact import told

if TYPE_CHECKING:
    from pathlib import Path

#: Written to a store and read back.
BLOB_BYTES = 16 * 2**20
#: Where a head of Ray and its job server listen.
PORTS = {6379: "head of a cluster", 8265: "job server"}
CONNECT_S = 1.0


class Looked(NamedTuple):
    """A machine, and what was found there."""

    machine: str
    findings: list[Finding]


def examine(*, address: str | None, store: str | None, models: Path | None) -> Iterator[Looked]:
    """Machine by machine; with an ``address`` those of that cluster, else this one.

    Raises:
        PlanError, DoesNotFit: there is no such cluster.
    """
    from ltx_ray.worker.health import look_here, versions_here

    if address is None:
        yield Looked(socket.gethostname(), [*look_here(), *_ports(), *_store(store), *_models(models)])
        return
    from ltx_ray.cluster.inventory import look_at_machines

    ours = versions_here()
    for machine, versions, findings in look_at_machines(address):
        yield Looked(machine, [*findings, *(_alike(versions, ours) if versions else ())])
    yield Looked(f"{socket.gethostname()}, which asks", [*_store(store), *_models(models)])


def _alike(theirs: Mapping[str, str], ours: Mapping[str, str]) -> Iterator[Finding]:
    """Machines of a cluster compute the same bytes with the same software alone."""
    others = [f"{name} {theirs.get(name) or 'not at all'} and here {each}" for name, each in ours.items()]
    differ = [words for words, name in zip(others, ours, strict=True) if theirs.get(name) != ours[name]]
    if differ:
        yield Finding("fail", "versions", f"has {', '.join(differ)}", "install the same on every machine")


def _ports() -> Iterator[Finding]:
    for port, what in PORTS.items():
        with socket.socket() as probe:
            probe.settimeout(CONNECT_S)
            is_taken = probe.connect_ex(("127.0.0.1", port)) == 0
        says = f"{port} is taken" if is_taken else f"{port} is free"
        remedy = f"`ray start --head` would not get it for a {what}; a cluster may run here already" if is_taken else ""
        yield Finding("warn" if is_taken else "ok", "port", says, remedy)


def _store(place: str | None) -> Iterator[Finding]:
    """Whether a store can be written, how fast, and whether what is written can be read back."""
    if place is None:
        return
    from ltx_ray.store.open import open_store

    name, blob = f"doctor-{secrets.token_hex(8)}", secrets.token_bytes(BLOB_BYTES)
    try:
        opened = open_store(place)
        begun = time.monotonic()
        opened.put_token(name, blob)
        try:
            written = time.monotonic()
            is_whole = opened.get_token(name) == blob
            read = time.monotonic()
        finally:
            opened.drop_token(name)
    except LtxRayError as error:
        yield Finding("fail", "store", told(error), "see that it is there and may be written")
        return
    if not is_whole:
        yield Finding("fail", "store", f"{opened.location}: gives other bytes than were written", "take another place")
        return
    rates = (BLOB_BYTES / 2**20 / max(1e-6, each) for each in (written - begun, read - written))
    says = "{}: writes {:.0f} MiB/s, reads {:.0f} MiB/s".format(opened.location, *rates)
    yield Finding("ok", "store", says)


def _models(listed: Path | None) -> Iterator[Finding]:
    from ltx_ray.models.listing import list_models

    if listed is None:
        yield Finding("warn", "models", "no models.yaml", "`ltx-ray models scan DIR` writes one")
        return
    try:
        for model in list_models(listed):
            if model.problem:
                yield Finding("warn", "model", f"{model.name}: {model.problem}", f"mend it in {listed}")
            elif model.kind != "built in":
                says = "fetched when it is used" if model.not_fetched else f"{model.family}, whole"
                yield Finding("ok", "model", f"{model.name}: {says}")
    except LtxRayError as error:
        yield Finding("fail", "models", told(error), f"mend {listed}")
