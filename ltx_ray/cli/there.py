"""Verbs about a run on a cluster elsewhere: the cluster runs the same verb, and what it answers is shown here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from ltx_ray.cli.submit import is_object

if TYPE_CHECKING:
    from ltx_ray.cluster.jobs import Job


def show_there(
    run: str, address: str, verb: str, arguments: Sequence[str], *, store: str | None, as_json: bool
) -> None:
    """Show what ``ltx-ray VERB RUN ARGUMENTS`` says there, and end with its exit code."""
    from ltx_ray import api

    options = [*([] if store is None else ["--store", store]), *(["--json"] if as_json else [])]
    said = api.ask_there(run, address, verb, [*arguments, *options])
    for line in said.text.splitlines():
        if not as_json or is_object(line):
            typer.echo(line)
    if said.exit_code:
        raise typer.Exit(said.exit_code)


def tell_jobs(run: str, address: str, *, as_json: bool) -> list[Job]:
    """Show the jobs of a run in order."""
    from ltx_ray import api

    jobs = api.jobs(address, run)
    for job in jobs:
        if as_json:
            fields = {"type": "job", "id": job.id, "run": job.run, "state": job.state, "exit_code": job.exit_code}
            typer.echo(json.dumps(fields | {"began": _iso(job.began_ms), "ended": _iso(job.ended_ms)}))
        else:
            typer.echo(f"job {job.id}: {_state(job)}")
    return jobs


def _state(job: Job) -> str:
    if job.state == "failed":
        code = f"exit code {job.exit_code}" if job.exit_code is not None else job.message.partition("\n")[0]
        return f"failed, {code}; began {_iso(job.began_ms)}"
    return f"{job.state}; began {_iso(job.began_ms)}"


def _iso(at_ms: int | None) -> str | None:
    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")
