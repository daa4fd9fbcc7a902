"""The command line: one verb a file. Here are only their order, and what becomes of an error.

Exit codes: 0 done, 1 our bug, 2 bad input, 3 finished with failed or blocked tasks, 4 storage, 5 does not fit the
cluster, 6 proof failed, 11 run locked, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from ltx_ray.cli.gc import gc
from ltx_ray.cli.plan import plan
from ltx_ray.cli.probe import probe
from ltx_ray.cli.render import render
from ltx_ray.cli.status import status
from ltx_ray.cli.unlock import unlock
from ltx_ray.cli.verify import verify
from ltx_ray.errors import LtxRayError

EPILOG = (
    "Exit codes: 0 done, 1 our bug, 2 bad input, 3 finished with failed or blocked tasks, 4 storage, "
    "5 does not fit the cluster, 6 proof failed, 11 run locked, 130 interrupted, 143 terminated."
)

app = typer.Typer(
    name="ltx-ray",
    help="A render farm for the LTX-2 family: manifests of videos in, proven video files with sound out.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: loading the pretty one takes longer than planning a small manifest
)


def _version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        typer.echo(f"ltx-ray {version('ltx-ray')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None: ...


for verb in (render, plan, status, probe, verify, gc, unlock):
    app.command()(verb)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; every error becomes a sentence and a code here."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        result = app(arguments, standalone_mode=False)
        return result if isinstance(result, int) else 0
    except LtxRayError as error:
        return _tell(error, arguments)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        usage = getattr(error, "format_message", None)  # what click and typer raise for wrong arguments
        if usage is not None:
            typer.echo(f"ltx-ray: {usage()} Try `ltx-ray --help`.", err=True)
            return 2
        traceback.print_exc()
        typer.echo("ltx-ray: this is a bug in ltx-ray; please report it with the lines above", err=True)
        return 1


def _tell(error: LtxRayError, arguments: list[str]) -> int:
    if "--json" in arguments:
        fields = {"type": "error", "error": type(error).__name__, "message": str(error), "exit_code": error.exit_code}
        typer.echo(json.dumps(fields))
    else:
        typer.echo("\n".join(f"ltx-ray: {line}" for line in str(error).splitlines()), err=True)
    return error.exit_code


def run() -> None:
    """The console script."""
    sys.exit(main())
