"""``ltx-ray models``: which models manifests can name, files looked through to list them, and files read whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ltx_ray.cli.options import JsonOption, ModelsOption
from ltx_ray.cli.output import signs_of_life

if TYPE_CHECKING:
    from ltx_ray.models.listing import ListedModel

app = typer.Typer(invoke_without_command=True, no_args_is_help=False, rich_markup_mode=None)

FoldersArgument = Annotated[
    list[Path], typer.Argument(metavar="DIR...", help="A models/ folder of ComfyUI, a download, a cache of a hub.")
]
OutOption = Annotated[
    str, typer.Option("--out", "-o", metavar="FILE", help="The list that entries are added to; - prints them.")
]
NamesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME]...", help="Entries; without, all.", show_default=False)
]
LockOption = Annotated[
    bool, typer.Option("--lock", help="Write models.lock.json, by which machines without the files can plan.")
]


@app.callback()
def models(context: typer.Context, models: ModelsOption = None, as_json: JsonOption = False) -> None:
    """List the models that a manifest can name, with their files and what is wrong with them."""
    if context.invoked_subcommand is not None:
        return
    from ltx_ray import api

    path, listed = api.list_models(models)
    if not as_json:
        typer.echo(f"models of {path}" if path is not None else "no models.yaml; `ltx-ray models scan DIR` writes one")
    num_broken = 0
    for model in listed:
        num_broken += bool(model.problem)
        typer.echo(json.dumps(_fields(model, path)) if as_json else _lines(model))
    if num_broken:
        raise typer.Exit(2)


@app.command()
def scan(folders: FoldersArgument, out: OutOption = "models.yaml") -> None:
    """Look through folders for checkpoints, and list those that are whole."""
    from ltx_ray import api

    with signs_of_life():
        found, text = api.scan_models(folders, None if out == "-" else Path(out))
    if out == "-":
        typer.echo(text, nl=False)
    for entry in found.added:
        typer.echo(f"added {entry.name}: {entry.transformer}", err=out == "-")
    for name, path in found.known:
        typer.echo(f"listed already as {name}: {path}", err=True)
    for path, lacks in found.lacking:
        typer.echo(f"left out {path}: {lacks}", err=True)
    for why, paths in found.left_out.items():
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        typer.echo(f"left out {paths[0]}{more}: {why}", err=True)
    if not found.added and not found.known:
        typer.echo("nothing to render with was found", err=True)
        raise typer.Exit(2)


@app.command()
def check(names: NamesArgument = None, models: ModelsOption = None, lock: LockOption = False) -> None:
    """Read every file whole and print its sha256; says which changed without a change of size or time."""
    from ltx_ray import api

    num_damaged = 0
    for digest, path, wrong in api.check_models(names or [], models):
        num_damaged += bool(wrong)
        typer.echo(f"{digest}  {path}{f'  DAMAGED: {wrong}' if wrong else ''}")
    if num_damaged:
        raise typer.Exit(6)
    if lock:
        typer.echo(f"locked in {api.lock_models(names or [], models)}", err=True)


@app.command()
def calibrate(
    out: Annotated[str, typer.Option("--out", "-o", metavar="FILE", help="Where to write it; - prints it.")] = "-",
    family: Annotated[
        list[str] | None, typer.Option(help="ltx-2, ltx-2.3 or ltx-2.5; may be given again.  [default: all]")
    ] = None,
) -> None:
    """Count what the published models compute: memory and FLOPs by size, without weights and without a GPU."""
    from ltx_ray import api

    text = api.calibrate(family, lambda what: typer.echo(f"counts {what}", err=True))
    if out == "-":
        typer.echo(text, nl=False)
    else:
        Path(out).write_text(text, "ascii")


def _lines(model: ListedModel) -> str:
    if model.problem:
        return f"{model.name:<28} BROKEN: {model.problem}"
    if model.not_fetched:
        lines = [f"{model.name:<28} fetched when it is used, or by `ltx-ray models check {model.name}`:"]
        return "\n".join([*lines, *(f"  {uri}" for uri in model.not_fetched)])
    lines = [f"{model.name:<28} {model.family:<9} {model.kind or '-'}"]
    for part in model.parts:
        if part.files:
            paths = ", ".join(map(str, part.files))
            lines.append(f"  {part.part:<14} {part.precision:<5} {part.num_bytes / 1e9:>7.2f} GB  {paths}")
    lines += [f"  lora {name:<27} {path}" for name, path in model.loras]
    return "\n".join(lines)


def _fields(model: ListedModel, path: Path | None) -> dict[str, object]:
    parts = {
        each.part: {"precision": each.precision, "bytes": each.num_bytes, "files": list(map(str, each.files))}
        for each in model.parts
    }
    return {
        "type": "model",
        "name": model.name,
        "family": model.family,
        "kind": model.kind,
        "parts": parts,
        "loras": {name: str(file) for name, file in model.loras},
        "problem": model.problem or None,
        "not_fetched": list(model.not_fetched),
        "list": None if path is None else str(path),
    }
