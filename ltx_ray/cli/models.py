"""``ltx-ray models``: which models manifests can name here, and what they are made of. Loads no weights."""

from __future__ import annotations

import json

import typer

from ltx_ray.cli.options import JsonOption, ModelsOption


def models(models: ModelsOption = None, as_json: JsonOption = False) -> None:
    """List the models that a manifest can name; every file of yours is looked through."""
    from ltx_ray import api

    catalog = api.models(models)
    for entry in map(catalog.entry, catalog):
        facts, precision = entry.facts, entry.facts.weights[0].precision
        kind = facts.kind or ("built in" if not entry.files else "")
        if as_json:
            files = {part: [each.path for each in places] for part, places in entry.files}
            parts = {each.part: {"digest": each.digest, "files": files.get(each.part, ())} for each in facts.weights}
            fields = {"type": "model", "name": facts.name, "family": facts.family, "kind": facts.kind}
            typer.echo(json.dumps(fields | {"precision": precision, "digest": facts.digest, "parts": parts}))
            continue
        typer.echo(f"{facts.name:<20} {facts.family:<9} {kind:<10} {precision}")
        for part, places in entry.files:
            typer.echo(f"  {part:<14} {', '.join(each.path for each in places)}")
