"""``ltx-ray render``: plan, make what is missing, say where it is."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ltx_ray.cli.options import (
    SEAM_WARNING,
    JsonOption,
    ManifestArgument,
    ModelsOption,
    OverridesArgument,
    RunOption,
    SeamWarningOption,
    StoreOption,
)
from ltx_ray.cli.output import outlived, signs_of_life
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

if TYPE_CHECKING:
    from ltx_ray.api import Summary

#: Reasons of failed tasks that are printed.
MAX_REASONS = 10
HANG_LIMIT_S, LOAD_LIMIT_S = 900.0, 1800.0
#: Workers are asked for their steps once a second, so under a shorter limit tasks that make steps would be ended.
MIN_HANG_LIMIT_S = 5.0


def _hang_limit(limit_s: float) -> float:
    if limit_s and not limit_s >= MIN_HANG_LIMIT_S:
        raise typer.BadParameter(f"{limit_s:g} s is too short to see a step; give {MIN_HANG_LIMIT_S:g} or more, or 0")
    return limit_s


RetryFailedOption = Annotated[bool, typer.Option("--retry-failed", help="Try again what was given up.")]
HangLimitOption = Annotated[
    float,
    typer.Option(
        metavar="SECONDS", callback=_hang_limit, help="End a task that makes no step for so long, >= 5; 0 = never."
    ),
]
LoadLimitOption = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        callback=_hang_limit,
        help="The same while weights are loaded and until the first step is done, >= 5; 0 = never.",
    ),
]
NodeLimitOption = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        min=1,
        help="Give up when no machine could work for so long.  [default: 120; 1800 where the cluster grows]",
    ),
]


def render(
    manifest: ManifestArgument,
    overrides: OverridesArgument = None,
    run: RunOption = None,
    store: StoreOption = None,
    models: ModelsOption = None,
    address: Annotated[str | None, typer.Option(help="HOST:PORT of Ray, or `auto`.  [default: start it here]")] = None,
    inline: Annotated[bool, typer.Option("--inline", help="Run every task in this process, without Ray.")] = False,
    workers: WorkersOption = None,
    retry_failed: RetryFailedOption = False,
    hang_limit: HangLimitOption = HANG_LIMIT_S,
    load_limit: LoadLimitOption = LOAD_LIMIT_S,
    offload: OffloadOption = None,
    stages_on: StagesOnOption = None,
    reserve: ReserveOption = 0.0,
    price: PriceOption = None,
    max_gpu_hours: MaxGpuHoursOption = None,
    max_cost: MaxCostOption = None,
    deadline: DeadlineOption = None,
    node_limit: NodeLimitOption = None,
    files: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="Where files lie that travelled with the manifest; `submit` gives it."),
    ] = None,
    notify: Annotated[
        str | None,
        typer.Option(metavar="URL", envvar="LTX_RAY_NOTIFY_URL", help="POST here what is finished or failed."),
    ] = None,
    seam_warning: SeamWarningOption = SEAM_WARNING,
    as_json: JsonOption = False,
) -> None:
    """Render a manifest; run it again to go on where it stopped. Ctrl-C stops every task at its next step."""
    from ltx_ray import api
    from ltx_ray.cli.progress import open_observer

    with signs_of_life():
        catalog = api.models(models, manifest=manifest)
        resolved = api.load_manifest(manifest, overrides or [], catalog=catalog, files=files)
    options = api.RenderOptions(
        run_dir=run,
        store=store,
        address=address,
        inline=inline,
        workers=workers,
        retry_failed=retry_failed,
        hang_limit_s=hang_limit or None,
        load_limit_s=load_limit or None,
        node_limit_s=node_limit,
        offload=offload,  # type: ignore[arg-type]
        reserve_bytes=int(reserve * GIB),
        stages_on=read_stages_on(stages_on),
        ceilings=api.ceilings(gpu_hours=max_gpu_hours, cost=max_cost, deadline=deadline),
        prices=read_prices(price),
        notify=notify or None,
    )
    with outlived():
        is_terminal = sys.stderr is not None and sys.stderr.isatty()
        with signs_of_life(), open_observer(as_json=as_json, is_terminal=is_terminal) as observer:
            # What Ray says of lost workers and nodes goes to standard output by default, into the middle of ours.
            with redirect_stdout(sys.stderr):
                summary = api.render(resolved, options, observer, catalog=catalog)
        _tell(summary, seam_warning, as_json=as_json)
        if (error := summary.error()) is not None:
            raise error


def _tell(summary: Summary, seam_warning: float, *, as_json: bool) -> None:
    from ltx_ray import api

    videos = summary.run_dir / "videos"
    warned = [*summary.seam_warnings(seam_warning), *filter(None, [summary.unheard])]
    if as_json:
        fields = {
            "type": "summary",
            "run": str(summary.run_dir),
            "videos": {video.id: str(videos / video.path) for video in summary.finished},
            "unfinished": [video.id for video in summary.unfinished],
            "made": summary.num_made,
            "cached": summary.num_cached,
            "failed": dict(summary.failed),
            "blocked": summary.num_blocked,
            "cancelled": list(summary.cancelled),
            "gave_up": summary.gave_up,
            "left_over": list(summary.left_over),
            "not_sent": dict(summary.not_sent),
            "warnings": warned,
            "took_s": round(summary.took_s, 1),
            "planned_s": None if summary.planned is None else round(summary.planned.wall_s, 1),
        }
        typer.echo(json.dumps(fields))
        return
    for video in summary.finished:
        typer.echo(
            _row(videos / video.path, video.width_px, video.height_px, float(video.num_frames / video.frame_rate))
        )
    for path in summary.left_over:
        typer.echo(f"{videos / path}  (of an earlier manifest)")
    for line in warned:
        typer.echo(f"warning: {line}", err=True)
    for name, why in list(summary.failed.items())[:MAX_REASONS]:
        typer.echo(f"failed: {name}: {why}", err=True)
    for id_, why in list(summary.not_sent.items())[:MAX_REASONS]:
        typer.echo(f"not sent: {id_}: {why}", err=True)
    if summary.cancelled:
        typer.echo(f"cancelled: {', '.join(summary.cancelled)}", err=True)
    if summary.gave_up and not summary.store_fault:  # that is the error itself
        typer.echo(f"gave up: {summary.gave_up}", err=True)
    if summary.planned is not None and summary.took_s:
        planned = summary.planned
        typer.echo(
            f"took {api.shown_duration(summary.took_s)}; planned {api.shown_duration(planned.wall_s)}, {planned.basis}"
        )
    made = f"{summary.num_made} tasks made, {summary.num_cached} kept from before"
    typer.echo(f"{len(summary.finished)} of {len(summary.finished) + len(summary.unfinished)} videos finished; {made}")


def _row(path: Path, width: int, height: int, seconds: float) -> str:
    return f"{path}  {width}x{height}  {seconds:.2f} s"
