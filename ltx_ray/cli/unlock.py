"""``ltx-ray unlock``: break the lock of a render that died on another machine."""

from __future__ import annotations

import json

import typer

from ltx_ray.cli.options import JsonOption, RunArgument


def unlock(run: RunArgument, as_json: JsonOption = False) -> None:
    """Break a stale lock. One of a live process here is refused; one of a dead process here needs no unlock."""
    from ltx_ray import api

    holder = api.unlock(run)
    if as_json:
        typer.echo(json.dumps({"type": "unlock", "run": str(run), "was_locked": holder is not None}))
    elif holder is None:
        typer.echo(f"{run}: was not locked")
    else:
        typer.echo(f"{run}: unlocked; it was held since {holder.since}")
