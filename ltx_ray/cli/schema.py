"""``ltx-ray schema``: what a manifest may hold, for editors, and for people."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def schema(
    markdown: Annotated[bool, typer.Option("--markdown", help="A table of every key and its values, instead.")] = False,
) -> None:
    """Print the JSON Schema of a manifest, by which editors complete and check keys."""
    from ltx_ray import api

    typer.echo(api.manifest_keys() if markdown else json.dumps(api.schema(), indent=2), nl=not markdown)
