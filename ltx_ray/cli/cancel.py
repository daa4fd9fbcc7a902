"""``ltx-ray cancel``: stop a render that runs somewhere, or leave out one video of it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ltx_ray.cli.options import JsonOption, RunArgument, StoreOption, as_text


def cancel(
    run: RunArgument,
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
    as_json: JsonOption = False,
) -> None:
    """Stop the render of a run at its next step, or one video of it. The same render command goes on later."""
    from ltx_ray import api

    asked = api.cancel(run, video, store=store)
    if as_json:
        fields = {"run": str(run), "video": video, "asked": asked.holder, "heard": asked.is_heard}
        typer.echo(json.dumps({"type": "cancel", **fields}))
        return
    what = "the render" if video is None else f"video {video}"
    heard = "" if asked.is_heard else "; it has not heard of it yet, and stops when it does"
    typer.echo(f"{run}: asked {asked.holder} to stop {what}{heard}")
