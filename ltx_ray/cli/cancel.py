"""``ltx-ray cancel``: stop a render that runs somewhere, or leave out one video of it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ltx_ray.cli.options import JsonOption, RunThereArgument, StoreOption, ThereOption, as_text, named_run
from ltx_ray.cli.there import show_there


def cancel(
    run: RunThereArgument,
    video: Annotated[
        str | None,
        typer.Argument(
            metavar="[VIDEO]",
            help="The id of one video; the others go on.",
            show_default=False,
            callback=lambda video: None if video is None else as_text(video),
        ),
    ] = None,
    store: StoreOption = None,
    address: ThereOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop the render of a run at its next step, or one video of it. The same render command goes on later."""
    from ltx_ray import api

    if address is not None:
        if video is not None:
            show_there(run, address, "cancel", [video], store=store, as_json=as_json)
        else:
            _stop_job(run, address, as_json=as_json)
        return
    asked = api.cancel(named_run(run), video, store=store)
    if as_json:
        fields = {"run": str(run), "video": video, "asked": asked.holder, "heard": asked.is_heard}
        typer.echo(json.dumps({"type": "cancel", **fields}))
        return
    what = "the render" if video is None else f"video {video}"
    heard = "" if asked.is_heard else "; it has not heard of it yet, and stops when it does"
    typer.echo(f"{run}: asked {asked.holder} to stop {what}{heard}")


def _stop_job(run: str, address: str, *, as_json: bool) -> None:
    from ltx_ray import api

    job = api.cancel_job(run, address)
    if as_json:
        typer.echo(json.dumps({"type": "cancel", "run": job.run, "job": job.id, "state": job.state}))
        return
    typer.echo(f"{run}: job {job.id} {'has not ended yet' if job.is_live else f'has {job.state}'}")
