"""``ltx-ray spot-watch``: on a spot machine, so that a notice of the cloud becomes a drain of its node."""

from __future__ import annotations

from typing import Annotated

import typer

CLOUDS = ("aws", "gcp", "azure")


def _cloud(text: str) -> str:
    if text not in CLOUDS:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(CLOUDS)}")
    return text


def spot_watch(
    cloud: Annotated[str, typer.Argument(metavar="aws|gcp|azure", callback=_cloud, help="Whose machine this is.")],
    url: Annotated[
        str | None, typer.Option(help="Where notices are.  [default: the cloud's own address]", show_default=False)
    ] = None,
) -> None:
    """Wait on a spot machine for the cloud's notice, and drain its node: renders leave it in time."""
    from ltx_ray import api

    api.watch_spot(cloud, url, lambda line: typer.echo(line, err=True))
