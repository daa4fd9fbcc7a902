"""``ltx-ray status``: where a run stands, read from disk; works while it runs, and after it died."""

from __future__ import annotations

import json

import typer

from ltx_ray.cli.options import JsonOption, RunArgument, StoreOption


def status(run: RunArgument, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Say where a run stands: stages, videos, failures, who holds it."""
    from ltx_ray import api

    found = api.status(run, store=store)
    if as_json:
        fields = {
            "type": "status",
            "run": str(found.run_dir),
            "locked_by": found.holder,
            "stages": {stage: {"tasks": total, "kept": kept} for stage, (total, kept) in found.stages.items()},
            "videos": [
                {"id": video.id, "path": str(video.path), "finished": video.is_finished, "why_not": video.why_not}
                for video in found.videos
            ],
            "problem": found.problem,
        }
        typer.echo(json.dumps(fields))
        return
    typer.echo(f"{found.run_dir}: {f'rendering now ({found.holder})' if found.holder else 'not running'}")
    if found.problem:
        typer.echo(f"note: {found.problem}", err=True)
    typer.echo(f"{'stage':<14}{'tasks':>8}{'kept':>8}")
    for stage, (total, kept) in found.stages.items():
        typer.echo(f"{stage:<14}{total:>8}{kept:>8}")
    for video in found.videos:
        typer.echo(f"{video.path}  {'finished' if video.is_finished else video.why_not or 'not finished'}")
