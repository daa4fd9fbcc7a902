"""``ltx-ray submit``: render on a cluster elsewhere, through its job server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from ltx_ray.cli.options import JobsAddressOption, JsonOption, ManifestArgument, OverridesArgument
from ltx_ray.cli.output import signs_of_life
from ltx_ray.cli.placing import (
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
from ltx_ray.cli.render import (
    HANG_LIMIT_S,
    LOAD_LIMIT_S,
    HangLimitOption,
    LoadLimitOption,
    NodeLimitOption,
    RetryFailedOption,
)

if TYPE_CHECKING:
    from ltx_ray.api import Submission


def submit(
    manifest: ManifestArgument,
    overrides: OverridesArgument = None,
    address: JobsAddressOption = "",
    run: Annotated[
        str | None,
        typer.Option(help="Name of the run there, or its directory there.  [default: manifest stem]"),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(help="Directory there or URI.  [default: $LTX_RAY_STORE there, else beside the run]"),
    ] = None,
    models: Annotated[
        str | None, typer.Option(metavar="FILE", help="A models.yaml to send along.  [default: that of the cluster]")
    ] = None,
    no_files: Annotated[bool, typer.Option("--no-files", help="Send no files: every path is the cluster's.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Show its output, and end with its exit code.")] = False,
    workers: WorkersOption = None,
    retry_failed: RetryFailedOption = False,
    hang_limit: HangLimitOption = HANG_LIMIT_S,
    load_limit: LoadLimitOption = LOAD_LIMIT_S,
    node_limit: NodeLimitOption = None,
    offload: OffloadOption = None,
    stages_on: StagesOnOption = None,
    reserve: ReserveOption = 0.0,
    price: PriceOption = None,
    max_gpu_hours: MaxGpuHoursOption = None,
    max_cost: MaxCostOption = None,
    deadline: DeadlineOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a cluster render a manifest; submit it again to go on. Files of this machine travel along."""
    from ltx_ray import api

    read_stages_on(stages_on), read_prices(price)  # what is wrong with them is said here
    arguments = [] if workers is None else ["--workers", str(workers)]
    arguments += ["--retry-failed"] if retry_failed else []
    arguments += ["--hang-limit", f"{hang_limit:g}"] if hang_limit != HANG_LIMIT_S else []
    arguments += ["--load-limit", f"{load_limit:g}"] if load_limit != LOAD_LIMIT_S else []
    arguments += [] if node_limit is None else ["--node-limit", f"{node_limit:g}"]
    arguments += [] if offload is None else ["--offload", offload]
    arguments += [word for each in stages_on or [] for word in ("--stages-on", each)]
    arguments += ["--reserve", f"{reserve:g}"] if reserve else []
    arguments += [word for each in price or [] for word in ("--price", each)]
    arguments += [] if max_gpu_hours is None else ["--max-gpu-hours", f"{max_gpu_hours:g}"]
    arguments += [] if max_cost is None else ["--max-cost", f"{max_cost:g}"]
    arguments += [] if deadline is None else ["--deadline", deadline]
    arguments += ["--json"] if as_json else []
    with signs_of_life():
        catalog = api.models(models, manifest=manifest)
        options = api.SubmitOptions(
            address=address, run=run, store=store, models=models, sends_files=not no_files, arguments=arguments
        )
        submission = api.submit(manifest, overrides or [], options=options, catalog=catalog)
    _tell(submission, as_json=as_json)
    if wait:
        show = Json() if as_json else lambda text: typer.echo(text, nl=False)
        try:
            exit_code = api.wait(submission.job, address, show)
        except KeyboardInterrupt:
            typer.echo(f"\n{submission.job} goes on; {_remedy('cancel', submission)} stops it", err=True)
            raise
        raise typer.Exit(exit_code)


class Json:
    """Passes on the lines that are JSON objects; the others are of Ray, and nobody parses them."""

    def __init__(self) -> None:
        self._rest = ""

    def __call__(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in filter(is_object, lines):
            typer.echo(line)


def is_object(line: str) -> bool:
    """Whether a line of output is a JSON object."""
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _tell(submission: Submission, *, as_json: bool) -> None:
    if as_json:
        fields = {
            "type": "job",
            "id": submission.job,
            "run": submission.run,
            "address": submission.address,
            "sent": list(submission.sent),
            "expected": list(submission.expected),
        }
        typer.echo(json.dumps(fields))
        return
    files = len(submission.sent)
    along = f" with {files} {'file' if files == 1 else 'files'}" if files else ""
    typer.echo(f"{submission.job}: accepted{along}; {_remedy('status', submission)} says how it goes")
    for path in submission.expected:
        typer.echo(f"note: {path} is not on this machine, and has to be on the cluster", err=True)


def _remedy(verb: str, submission: Submission) -> str:
    return f"`ltx-ray {verb} {submission.run} --address {submission.address}`"
