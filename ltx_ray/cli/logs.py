"""``ltx-ray logs``: what the job of a run says, on a cluster elsewhere."""

from __future__ import annotations

from typing import Annotated

import typer

from ltx_ray.cli.options import JobsAddressOption


def logs(
    run: Annotated[str, typer.Argument(metavar="RUN", help="As it was submitted, or the id of a job.")],
    address: JobsAddressOption = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until the job has ended.")] = False,
) -> None:
    """Show the output of the last job of a run."""
    from ltx_ray import api

    for piece in api.logs(run, address, follow=follow):
        typer.echo(piece, nl=False)
