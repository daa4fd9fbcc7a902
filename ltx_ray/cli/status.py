"""``ltx-ray status``: where a run stands, read from disk; works while it runs, and after it died."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from ltx_ray.cli.options import (
    SEAM_WARNING,
    JsonOption,
    RunThereArgument,
    SeamWarningOption,
    StoreOption,
    ThereOption,
    named_run,
)
from ltx_ray.cli.there import show_there, tell_jobs

if TYPE_CHECKING:
    from ltx_ray.report.seams import SeamReport
    from ltx_ray.run.standing import RunningTask, RunStatus, VideoStatus

#: Running tasks that are printed.
MAX_RUNNING = 16


def status(
    run: RunThereArgument,
    store: StoreOption = None,
    address: ThereOption = None,
    seam_warning: SeamWarningOption = SEAM_WARNING,
    as_json: JsonOption = False,
) -> None:
    """Say where a run stands: stages, videos and their seams, failures, who holds it."""
    from ltx_ray import api

    if address is not None:
        if any(job.exit_code is not None or job.state == "running" for job in tell_jobs(run, address, as_json=as_json)):
            arguments = ["--seam-warning", f"{seam_warning:g}"]
            show_there(run, address, "status", arguments, store=store, as_json=as_json)
        return
    found = api.status(named_run(run), store=store)
    warned = found.seam_warnings(seam_warning)
    if as_json:
        fields = {
            "type": "status",
            "run": str(found.run_dir),
            "state": found.state,
            "store": found.store,
            "locked_by": found.holder if found.state in ("rendering", "out of sight") else None,
            "stages": {
                stage: {"tasks": total, "kept": kept, "to_make": to_make}
                for stage, (total, kept, to_make) in found.stages.items()
            },
            "running": [task._asdict() | {"began": task.began and task.began.isoformat()} for task in found.running],
            "videos": [_fields(video) for video in found.videos],
            "warnings": warned,
            "gave_up": found.gave_up,
            "problem": found.problem,
        }
        typer.echo(json.dumps(fields))
        return
    typer.echo(f"{found.run_dir}: {_standing(found)}")
    typer.echo(f"store: {found.store}")
    if found.problem:
        typer.echo(f"note: {found.problem}", err=True)
    typer.echo(f"{'stage':<14}{'tasks':>8}{'kept':>8}{'to make':>10}")
    for stage, (total, kept, to_make) in found.stages.items():
        typer.echo(f"{stage:<14}{total:>8}{kept:>8}{to_make:>10}")
    for task in found.running[:MAX_RUNNING]:
        typer.echo(f"running: {task.name} on {task.worker}{_since(task)}")
    for video in found.videos:
        typer.echo(f"{video.path}  {_video(video)}{f'; {video.seams}' if video.seams else ''}")
    for line in warned:
        typer.echo(f"warning: {line}", err=True)


def _standing(found: RunStatus) -> str:
    holder = found.holder or "an unknown process"
    match found.state:
        case "rendering":
            return f"rendering now ({holder})"
        case "out of sight":
            return f"locked by {holder}, which cannot be seen from here"
        case "died":
            return f"died: {holder} is gone; the same command resumes it"
        case "ended early":
            return "not running: the last render ended early; the same command resumes it"
        case "stopped":
            return "not running: it was stopped; the same command resumes it"
        case "unfinished":
            what = "sent" if all(video.is_finished for video in found.videos) else "made"
            return f"not running: {found.gave_up or f'not everything is {what}'}"
        case "finished":
            return "finished"


def _since(task: RunningTask) -> str:
    if task.began is None:
        return ""
    seconds = max(0, round((datetime.now(UTC) - task.began).total_seconds()))
    again = f", attempt {task.attempt}" if task.attempt > 1 else ""
    return f" for {seconds} s{again}"


def _video(video: VideoStatus) -> str:
    if video.is_finished:
        return "finished" if video.unsent_to is None else f"finished; not sent to {video.unsent_to} yet"
    if video.is_cancelled:
        return "cancelled; the next render makes it"
    return video.why_not or "not finished"


def _fields(video: VideoStatus) -> dict[str, Any]:
    return {
        "id": video.id,
        "path": str(video.path),
        "finished": video.is_finished,
        "cancelled": video.is_cancelled,
        "why_not": video.why_not,
        "not_sent_to": video.unsent_to,
        **_seam_fields(video.seams),
    }


def _seam_fields(report: SeamReport | None) -> dict[str, Any]:
    """Every seam and the worst of them; None where nothing is known."""
    worst = report.worst if report else None
    return {
        "seams": None if report is None or report.problem else [asdict(seam) for seam in report.seams],
        "worst_seam": worst and {"multiple": worst.multiple, "metric": worst.metric, "frame": worst.seam.frame},
    }
