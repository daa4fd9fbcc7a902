"""``ltx-ray verify``: hash again what a run keeps."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ltx_ray.cli.options import JsonOption, RunArgument, StoreOption
from ltx_ray.errors import ProofFailed


def verify(
    run: RunArgument,
    store: StoreOption = None,
    repair: Annotated[bool, typer.Option("--repair", help="Forget what is wrong, so that a render makes it.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Re-hash every artifact and file of a run; exit 6 and a list if something is wrong."""
    from ltx_ray import api

    num_checked, findings = api.verify(run, store=store, repair=repair)
    if as_json:
        rows = [{"kind": kind, "name": name, "detail": detail} for kind, name, detail in findings]
        typer.echo(json.dumps({"type": "verify", "checked": num_checked, "repaired": repair, "findings": rows}))
    else:
        for _, name, detail in findings:
            typer.echo(f"{name}: {detail}")
        typer.echo(f"{num_checked} checked, {len(findings)} wrong")
    if findings and not repair:
        raise ProofFailed(
            f"{run}: {len(findings)} of {num_checked} are wrong; `ltx-ray verify {run} --repair`, then render"
        )
