"""``ltx-ray gc``: free what nothing refers to, or all that some runs do not need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ltx_ray.cli.options import JsonOption
from ltx_ray.errors import PlanError

if TYPE_CHECKING:
    from ltx_ray.store.gc import Collected

DEFAULT_STORE = "runs/.store"


def gc(
    store: Annotated[
        str | None,
        typer.Option("--store", help=f"The store to clean.  [default: that of --keep-run, else {DEFAULT_STORE}]"),
    ] = None,
    keep_run: Annotated[
        list[Path] | None,
        typer.Option("--keep-run", metavar="RUN", help="Forget all that no such run needs. Name every run you keep."),
    ] = None,
    older_than: Annotated[
        float,
        typer.Option(
            "--older-than", metavar="MINUTES", min=0, help="Spare the younger; under 60 only while no run is on."
        ),
    ] = 60.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be freed.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete objects that no key is bound to, and what dead processes left. Writes nothing, so a full disk is fine."""
    from ltx_ray.store.gc import collect
    from ltx_ray.store.open import open_store

    runs = keep_run or []
    opened = open_store(store or _store_of(runs), create=False)
    keep = _keys_of(runs) if runs else None
    if keep is not None and (bound := opened.keys()) and keep.isdisjoint(bound):
        raise PlanError(
            f"--keep-run: {opened.location} holds nothing of {_listed(runs)}; name their store with --store"
        )
    freed = collect(opened, keep=keep, young_s=older_than * 60, dry_run=dry_run)
    _tell(freed, opened.location, older_than, dry_run=dry_run, as_json=as_json)


def _store_of(runs: list[Path]) -> str:
    """The one store that ``runs`` were rendered with."""
    from ltx_ray.api import default_store
    from ltx_ray.store.journal import read_journal
    from ltx_ray.store.layout import RunLayout
    from ltx_ray.store.run_dir import last_store

    stores = sorted({last_store(read_journal(RunLayout(run).journal)) or default_store(run) for run in runs})
    if len(stores) > 1:
        raise PlanError(
            f"--keep-run: {_listed(runs)} have several stores; name one of them with --store: {_listed(stores)}"
        )
    return stores[0] if stores else DEFAULT_STORE


def _keys_of(runs: list[Path]) -> set[str]:
    """Every key of their plans. A run that cannot be read is an error: nothing would be kept of it."""
    from ltx_ray.store.layout import RunLayout
    from ltx_ray.store.run_dir import read_plan

    return {record["key"] for run in runs for record in read_plan(RunLayout(run)) if "key" in record}


def _listed(things: list[Path] | list[str]) -> str:
    return ", ".join(map(str, things))


def _tell(freed: Collected, location: str, older_than: float, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        fields = {
            "type": "gc",
            "store": location,
            "keys": freed.num_keys,
            "objects": freed.num_objects,
            "tokens": freed.num_tokens,
            "bytes": freed.num_bytes,
            "young": freed.num_young,
            "dry_run": dry_run,
        }
        typer.echo(json.dumps(fields))
        return
    forgotten = f"{freed.num_keys} keys forgotten, " if freed.num_keys else ""
    spared = f"; {freed.num_young} spared, younger than {older_than:g} minutes" if freed.num_young else ""
    verb = "would be freed" if dry_run else "freed"
    typer.echo(f"{location}: {forgotten}{freed.num_objects} objects, {freed.num_bytes / 2**20:.1f} MiB {verb}{spared}")
