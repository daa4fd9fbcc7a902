"""``ltx-ray plan``: what a render would make, and why; or what the presets are. Loads neither torch nor ray, and writes
nothing."""

from __future__ import annotations

import json
from collections import Counter
from typing import Annotated

import typer

from ltx_ray.cli.options import JsonOption, ModelsOption, OverridesArgument, RunOption, StoreOption
from ltx_ray.cli.output import signs_of_life
from ltx_ray.cli.placing import (
    GIB,
    DeadlineOption,
    MaxCostOption,
    MaxGpuHoursOption,
    OffloadOption,
    PriceOption,
    ReserveOption,
    StagesOnOption,
    WorkersOption,
    read_prices,
    read_stages_on,
)
from ltx_ray.errors import PlanError

#: Task rows printed unless --all is given.
ROWS = 40


def plan(
    manifest: Annotated[
        str | None, typer.Argument(metavar="MANIFEST", help="As for render; with --presets a family, or nothing.")
    ] = None,
    overrides: OverridesArgument = None,
    run: RunOption = None,
    store: StoreOption = None,
    models: ModelsOption = None,
    show_all: Annotated[bool, typer.Option("--all", help="Every task, also of a large plan.")] = False,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="auto|FILE",
            help="Where it would run, and what it takes: the cluster of --address, this machine, or what a file says.",
        ),
    ] = None,
    address: Annotated[str | None, typer.Option(help="HOST:PORT of Ray, or `auto`, for --cluster auto.")] = None,
    workers: WorkersOption = None,
    offload: OffloadOption = None,
    stages_on: StagesOnOption = None,
    reserve: ReserveOption = 0.0,
    price: PriceOption = None,
    max_gpu_hours: MaxGpuHoursOption = None,
    max_cost: MaxCostOption = None,
    deadline: DeadlineOption = None,
    presets: Annotated[
        bool, typer.Option("--presets", help="Print what every preset means: `plan --presets [FAMILY]`.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what would be made and why, without making it."""
    if presets:
        _print_presets(manifest, overrides or [], as_json=as_json)
        return
    if manifest is None:
        raise PlanError("MANIFEST: missing; name a manifest, or give --presets")
    from ltx_ray import api
    from ltx_ray.spec.task import STAGES

    if address is not None and cluster != "auto":
        raise PlanError(f"--address {address}: is looked at with --cluster auto alone")
    options = api.RenderOptions(
        workers=workers,
        offload=offload,  # type: ignore[arg-type]
        reserve_bytes=int(reserve * GIB),
        stages_on=read_stages_on(stages_on),
        ceilings=api.ceilings(gpu_hours=max_gpu_hours, cost=max_cost, deadline=deadline),
        prices=read_prices(price),
    )
    with signs_of_life():
        catalog = api.models(models, manifest=manifest)
        resolved = api.load_manifest(manifest, overrides or [], catalog=catalog)
        dry = api.dry_run(resolved, run_dir=run, store=store, catalog=catalog)
        at = run or api.default_run_dir(resolved)
        foreseen = api.foresee(dry, options, catalog=catalog, cluster=cluster, address=address, run_dir=at)
    counts: dict[str, Counter[str]] = {stage: Counter() for stage in STAGES}
    num_rows = 0
    for task, reason in dry.reasons():
        counts[task.stage][reason.kind] += 1
        if as_json:
            row = {"type": "task", "name": task.name, "stage": task.stage, "key": task.key}
            typer.echo(json.dumps(row | {"reason": reason.kind, "detail": reason.detail}))
        elif show_all or num_rows < ROWS:
            typer.echo(f"{task.name:<40} {reason}")
        num_rows += 1
    if num_rows > ROWS and not show_all and not as_json:
        typer.echo(f"... and {num_rows - ROWS} more; --all shows them")
    if as_json:
        totals = {stage: dict(kinds) for stage, kinds in counts.items()}
        summary = {"videos": len(dry.plan.videos), "tasks": num_rows, "to_make": len(dry.needed), "stages": totals}
        seen = {} if foreseen is None else {"placement": foreseen.placement_rows(), "estimate": foreseen.estimate_row()}
        typer.echo(json.dumps({"type": "plan", "notes": [str(note) for note in dry.plan.notes]} | summary | seen))
        return
    for note in dry.notes(each=show_all):
        typer.echo(f"note: {note}", err=True)
    typer.echo("")
    typer.echo(f"{'stage':<14}{'tasks':>8}{'to make':>10}{'kept':>8}")
    for stage in STAGES:
        if not (kinds := counts[stage]):
            continue
        to_make = kinds.total() - kinds["cached"] - kinds["not needed"]
        typer.echo(f"{stage:<14}{kinds.total():>8}{to_make:>10}{kinds['cached']:>8}")
    videos = f"{len(dry.plan.videos)} video{'s' if len(dry.plan.videos) != 1 else ''}"
    seconds = float(sum(video.num_frames / video.frame_rate for video in dry.plan.videos))
    typer.echo(f"{videos}, {seconds:.1f} s in all: {len(dry.needed)} of {num_rows} tasks to make")
    if foreseen is not None:
        typer.echo("")
        for line in foreseen.lines():
            typer.echo(line)


def _print_presets(family: str | None, overrides: list[str], *, as_json: bool) -> None:
    """Every preset of ``family``; None = of all."""
    from ltx_ray import api

    if overrides:
        raise PlanError(f"--presets: {overrides[0]!r} changes no preset; give at most one family")
    found = api.presets(family)
    for one in found.families:
        if as_json:
            for preset, values in one.values.items():
                typer.echo(json.dumps({"type": "preset", "family": one.family, "preset": preset, "values": values}))
            continue
        widths = [max(map(len, column)) for column in zip(*one.rows, strict=True)]
        typer.echo(one.family)
        for cells in one.rows:
            typer.echo("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
        typer.echo("")
    if not as_json:
        for line in found.legend:
            typer.echo(line)
