"""``ltx-ray status``: where a run stands, read from disk; works while it runs, and after it died."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from ltx_ray.cli.options import JsonOption, RunArgument, SeamWarningOption, StoreOption
from ltx_ray.report.seams import SEAM_WARNING, SeamReport, in_words, warnings

if TYPE_CHECKING:
    from ltx_ray.api import VideoStatus


def status(
    run: RunArgument,
    store: StoreOption = None,
    seam_warning: SeamWarningOption = SEAM_WARNING,
    as_json: JsonOption = False,
) -> None:
    """Say where a run stands: stages, videos and their seams, failures, who holds it."""
    from ltx_ray import api

    found = api.status(run, store=store)
    warned = [line for video in found.videos if video.seams for line in warnings(video.id, video.seams, seam_warning)]
    if as_json:
        fields = {
            "type": "status",
            "run": str(found.run_dir),
            "locked_by": found.holder,
            "stages": {stage: {"tasks": total, "kept": kept} for stage, (total, kept) in found.stages.items()},
            "videos": [_fields(video) for video in found.videos],
            "warnings": warned,
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
        state = "finished" if video.is_finished else video.why_not or "not finished"
        typer.echo(f"{video.path}  {state}{f'; {in_words(video.seams)}' if video.seams else ''}")
    for line in warned:
        typer.echo(f"warning: {line}", err=True)


def _fields(video: VideoStatus) -> dict[str, Any]:
    return {
        "id": video.id,
        "path": str(video.path),
        "finished": video.is_finished,
        "why_not": video.why_not,
        **_seam_fields(video.seams),
    }


def _seam_fields(report: SeamReport | None) -> dict[str, Any]:
    """Every seam and the worst of them; None where nothing is known."""
    worst = report.worst if report else None
    return {
        "seams": None if report is None or report.problem else [asdict(seam) for seam in report.seams],
        "worst_seam": worst and {"multiple": worst.multiple, "metric": worst.metric, "frame": worst.seam.frame},
    }
