"""``ltx-ray doctor``: what would keep a render from working, with the remedy."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ltx_ray.cli.options import JsonOption, ModelsOption
from ltx_ray.cli.output import signs_of_life

#: Something that a render needs does not work.
DOES_NOT_FIT = 5


def doctor(
    address: Annotated[
        str | None, typer.Option(help="HOST:PORT of Ray, or `auto`: every machine of that cluster.")
    ] = None,
    store: Annotated[
        str | None, typer.Option(help="Directory or URI: whether it can be written, and how fast.")
    ] = None,
    models: ModelsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look at this machine, or at every one of a cluster: driver, cards, memory, encoders, store, models, ports."""
    from ltx_ray import api

    has_failed = False
    with signs_of_life():
        for machine, findings in api.doctor(address=address, store=store, models=models):
            if not as_json:
                typer.echo(machine)
            for level, what, says, remedy in findings:
                has_failed |= level == "fail"
                if as_json:
                    row = {"type": "finding", "machine": machine, "level": level, "what": what}
                    typer.echo(json.dumps(row | {"says": says, "remedy": remedy or None}))
                else:
                    typer.echo(f"  {level:<5} {what:<14} {says}{f'; {remedy}' if remedy else ''}")
    if has_failed:
        raise typer.Exit(DOES_NOT_FIT)
