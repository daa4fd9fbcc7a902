"""``ltx-ray gc``: free what nothing refers to."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ltx_ray.cli.options import JsonOption


def gc(
    store: Annotated[str, typer.Option("--store", help="The store to clean.")] = "runs/.store",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be freed.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete objects that no key is bound to, and what dead processes left."""
    from ltx_ray.store.gc import collect
    from ltx_ray.store.open import open_store

    freed = collect(open_store(store, create=not dry_run), dry_run=dry_run)
    if as_json:
        fields = {"type": "gc", "objects": freed.num_objects, "bytes": freed.num_bytes, "dry_run": dry_run}
        typer.echo(json.dumps(fields))
        return
    verb = "would be freed" if dry_run else "freed"
    typer.echo(f"{store}: {freed.num_objects} objects, {freed.num_bytes / 2**20:.1f} MiB {verb}")
