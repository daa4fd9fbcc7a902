"""``ltx-ray schema``: what a manifest may hold, for editors."""

from __future__ import annotations

import json

import typer


def schema() -> None:
    """Print the JSON Schema of a manifest, by which editors complete and check keys."""
    from ltx_ray import api

    typer.echo(json.dumps(api.schema(), indent=2))
