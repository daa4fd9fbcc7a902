"""``ltx-ray preview``: play what is finished of a video."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ltx_ray.cli.options import JsonOption, ModelsOption, RunArgument, StoreOption, as_text


def preview(
    run: RunArgument,
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="The id of a video of the run.", callback=as_text)],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write.  [default: RUN/preview/<its name>]")
    ] = None,
    silent: Annotated[bool, typer.Option("--silent", help="Without sound, so that nothing is decoded.")] = False,
    store: StoreOption = None,
    models: ModelsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Join the finished beginning of a video to a file, also while it renders; nothing is coded again."""
    from ltx_ray import api

    made = api.preview(run, video, out=out, store=store, silent=silent, catalog=api.models(models))
    if as_json:
        fields = {
            "type": "preview",
            "video": made.video,
            "path": str(made.path),
            "frames": [made.num_shown, made.num_frames],
            "seconds": made.shown_s,
            "of_seconds": made.whole_s,
            "sound_seconds": made.sound_s,
        }
        typer.echo(json.dumps(fields))
        return
    typer.echo(f"{made.path}  {made.shown_s:.1f} of {made.whole_s:.1f} s")
    if not silent and made.shown_s - made.sound_s > 0.05:
        typer.echo(f"note: of its sound {made.sound_s:.1f} s are finished; silence fills the rest", err=True)
