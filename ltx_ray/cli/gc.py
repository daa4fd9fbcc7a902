"""``ltx-ray gc``: free what nothing refers to, and what has grown too old or too big."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ltx_ray.cli.options import JsonOption, named_run

if TYPE_CHECKING:
    from ltx_ray.run.collect import Freed

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PREFIXES = "kmgt"


def seconds(text: str) -> float:
    """``90s``, ``30m``, ``12h``, ``30d``, ``2w`` or ``0`` as seconds."""
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip().lower()):
        return float(match[1]) * _SECONDS[match[2]]
    if text.strip() == "0":
        return 0.0
    raise typer.BadParameter(f"{text!r} is no time; write 90s, 30m, 12h, 30d or 2w")


def num_bytes(text: str) -> int:
    """``500GB`` (thousands), ``500GiB`` (1024s) or ``0`` as bytes."""
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)(?:([kmgt])(i?))?b?", text.strip().lower()):
        exponent = _PREFIXES.index(match[2]) + 1 if match[2] else 0
        return int(float(match[1]) * (1024 if match[3] else 1000) ** exponent)
    raise typer.BadParameter(f"{text!r} is no size; write 500GB, 1.5TB or 200GiB")


def gc(
    store: Annotated[
        str | None,
        typer.Option("--store", help="The store to clean.  [default: that of --keep-run, else runs/.store]"),
    ] = None,
    keep_run: Annotated[
        list[Path] | None,
        typer.Option(
            "--keep-run",
            metavar="RUN",
            parser=named_run,
            help="Keep what this run needs, and no other.  [default: every run known to use the store]",
        ),
    ] = None,
    keep_none: Annotated[
        bool, typer.Option("--keep-none", help="No run needs the store any more: all of it may go.")
    ] = False,
    older_than: Annotated[
        float | None,
        typer.Option("--older-than", metavar="AGE", parser=seconds, help="Forget what no run needs when so old: 30d."),
    ] = None,
    max_size: Annotated[
        int | None,
        typer.Option("--max-size", metavar="SIZE", parser=num_bytes, help="Forget the oldest of it, down to 500GB."),
    ] = None,
    ttl: Annotated[
        float | None,
        typer.Option(
            "--ttl", metavar="AGE", parser=seconds, help="Delete the files of finished runs at rest for so long."
        ),
    ] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Do it; without this it is only said.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what can be freed, or free it: what nothing refers to and what dead processes left, and with a limit more.

    Writes nothing, so a full disk is fine. What a run needs that is kept is never touched.
    """
    from ltx_ray import api

    freed = api.gc(
        api.GcOptions(
            store=store,
            keep_runs=keep_run or [],
            keep_none=keep_none,
            older_than_s=older_than,
            max_bytes=max_size,
            ttl_s=ttl,
            delete=delete,
        )
    )
    _tell(freed, as_json=as_json)
    num_left = freed.collected.num_bytes_left
    if max_size is not None and num_left > max_size and not as_json:
        over, num_kept = _shown(num_left - max_size), freed.num_runs_kept
        typer.echo(f"{over} over --max-size remain: {num_kept} kept runs need them, or they are younger than an hour")


def _tell(freed: Freed, *, as_json: bool) -> None:
    collected = freed.collected
    if as_json:
        fields = {
            "type": "gc",
            "store": freed.store,
            "keys": collected.num_keys,
            "objects": collected.num_objects,
            "tokens": collected.num_tokens,
            "bytes": collected.num_bytes,
            "young": collected.num_young,
            "objects_left": collected.num_left,
            "bytes_left": collected.num_bytes_left,
            "runs_kept": freed.num_runs_kept,
            "runs_unseen": list(freed.unseen),
            "files": [str(file) for run in freed.expired for file in run.files],
            "file_bytes": sum(run.num_bytes for run in freed.expired),
            "dry_run": not freed.is_done,
        }
        typer.echo(json.dumps(fields))
        return
    would = "" if freed.is_done else "would be "
    for run in freed.expired:
        days = run.at_rest_s / _SECONDS["d"]
        typer.echo(f"{run.run_dir}: at rest for {days:.1f} days; its {len(run.files)} files {would}deleted")
    forgotten = f"{collected.num_keys} keys forgotten, " if collected.num_keys else ""
    spared = f"; {collected.num_young} spared for their age" if collected.num_young else ""
    shown = _shown(collected.num_bytes)
    typer.echo(
        f"{freed.store}: {forgotten}{collected.num_objects} objects, {shown} {would}freed{spared}; "
        f"{collected.num_left} objects, {_shown(collected.num_bytes_left)} stay, {freed.num_runs_kept} runs kept"
    )
    for where in freed.unseen:
        typer.echo(f"{where}: cannot be seen from here, so what it needs stays; --keep-run names those that count")
    if not freed.is_done and (collected.num_keys or collected.num_bytes or freed.expired):
        typer.echo("nothing was deleted; add --delete to do it")


def _shown(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
