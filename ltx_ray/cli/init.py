"""``ltx-ray init``: a manifest to begin with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ltx_ray.cli.options import JsonOption


def init(
    manifest: Annotated[Path, typer.Argument(metavar="[MANIFEST]", help="File to write.")] = Path("manifest.yaml"),
    prompts: Annotated[
        str | None, typer.Option("--from", metavar="FILE", help="Text with one prompt a line; - = standard input.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a commented manifest to begin with; nothing is overwritten."""
    from ltx_ray import api

    num_videos = api.init(manifest, prompts)
    if as_json:
        typer.echo(json.dumps({"type": "init", "manifest": str(manifest), "videos": num_videos}))
        return
    videos = "a video" if num_videos == 1 else f"{num_videos} videos"
    typer.echo(f"{manifest}: {videos}; `ltx-ray plan {manifest}` says what it makes")
