"""``ltx-ray plan``: what a render would make, and why. Loads neither torch nor ray, and writes nothing."""

from __future__ import annotations

import json
from collections import Counter
from typing import Annotated

import typer

from ltx_ray.cli.options import JsonOption, ManifestArgument, OverridesArgument, RunOption, StoreOption

#: Task rows printed unless --all is given.
ROWS = 40


def plan(
    manifest: ManifestArgument,
    overrides: OverridesArgument = None,
    run: RunOption = None,
    store: StoreOption = None,
    show_all: Annotated[bool, typer.Option("--all", help="Every task, also of a large plan.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what would be made and why, without making it."""
    from ltx_ray import api
    from ltx_ray.spec.task import STAGES

    dry = api.dry_run(api.load_manifest(manifest, overrides or []), run_dir=run, store=store)
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
        typer.echo(json.dumps({"type": "plan", "notes": dry.plan.notes} | summary))
        return
    for note in dry.plan.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo("")
    typer.echo(f"{'stage':<14}{'tasks':>8}{'to make':>10}{'kept':>8}")
    for stage in STAGES:
        kinds = counts[stage]
        kept = kinds["cached"] + kinds["not needed"]
        typer.echo(f"{stage:<14}{kinds.total():>8}{kinds.total() - kept:>10}{kept:>8}")
    videos = f"{len(dry.plan.videos)} video{'s' if len(dry.plan.videos) != 1 else ''}"
    seconds = float(sum(video.num_frames / video.frame_rate for video in dry.plan.videos))
    typer.echo(f"{videos}, {seconds:.1f} s in all: {len(dry.needed)} of {num_rows} tasks to make")
