"""The command line: one verb a file. Here are only their order, and what becomes of an error.

Exit codes: 0 done, 1 our bug, 2 bad input, 3 finished with failed or blocked tasks, 4 storage, 5 does not fit the
cluster, 6 proof failed, 7 the cluster's head is lost, 11 run locked, 130 interrupted, 141 output closed,
143 terminated.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer

from ltx_ray.cli.cancel import cancel
from ltx_ray.cli.doctor import doctor
from ltx_ray.cli.explain import explain
from ltx_ray.cli.gc import gc
from ltx_ray.cli.init import init
from ltx_ray.cli.logs import logs
from ltx_ray.cli.models import app as models
from ltx_ray.cli.output import OutputLost, open_streams, say_lost
from ltx_ray.cli.plan import plan
from ltx_ray.cli.preview import preview
from ltx_ray.cli.probe import probe
from ltx_ray.cli.render import render
from ltx_ray.cli.schema import schema
from ltx_ray.cli.spot_watch import spot_watch
from ltx_ray.cli.status import status
from ltx_ray.cli.submit import submit
from ltx_ray.cli.unlock import unlock
from ltx_ray.cli.verify import verify
from ltx_ray.errors import LtxRayError
from ltx_ray.spec.redact import redact

EPILOG = (
    "Exit codes: 0 done, 1 our bug, 2 bad input, 3 finished with failed or blocked tasks, 4 storage, "
    "5 does not fit the cluster, 6 proof failed, 7 the cluster's head is lost, 11 run locked, 130 interrupted, "
    "141 output closed, 143 terminated."
)

INTERRUPTED = 130

app = typer.Typer(
    name="ltx-ray",
    help="A render farm for the LTX-2 family: manifests of videos in, proven video files with sound out.",
    epilog=EPILOG,
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


VERBS = (
    render,
    submit,
    plan,
    doctor,
    status,
    logs,
    explain,
    cancel,
    preview,
    probe,
    verify,
    gc,
    unlock,
    init,
    schema,
    spot_watch,
)
for verb in VERBS:
    app.command()(verb)
app.add_typer(models, name="models")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; every error becomes a sentence and a code here."""
    arguments = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    try:
        return _run(arguments)
    except OutputLost as lost:
        say_lost(lost)
        return lost.exit_code


def _run(arguments: list[str]) -> int:
    as_json = "--json" in arguments
    try:
        result = app(arguments, standalone_mode=False)
    except OutputLost:
        raise
    except LtxRayError as error:
        return _tell(type(error).__name__, str(error), error.exit_code, as_json=as_json)
    except KeyboardInterrupt:
        result = INTERRUPTED
    except Exception as error:
        usage = getattr(error, "format_message", None)  # what typer raises for wrong arguments
        if usage is not None:
            return _tell(type(error).__name__, f"{usage()} Try `ltx-ray --help`.", 2, as_json=as_json)
        typer.echo(redact(traceback.format_exc(), os.environ), err=True, nl=False)
        return _tell(type(error).__name__, _bug(error, as_json=as_json), 1, as_json=as_json)
    if result == INTERRUPTED:  # typer turns a Ctrl-C outside a render into this
        return _tell("Interrupted", "interrupted", INTERRUPTED, as_json=as_json)
    return result if isinstance(result, int) else 0


def _bug(error: Exception, *, as_json: bool) -> str:
    what = f"{type(error).__name__}: {error}" if as_json else "please report it with the lines above"
    return f"this is a bug in ltx-ray; {what}"


def _tell(name: str, message: str, exit_code: int, *, as_json: bool) -> int:
    """Say the error, on standard output as JSON, otherwise on standard error; return its exit code."""
    message = redact(message, os.environ)
    if as_json:
        typer.echo(json.dumps({"type": "error", "error": name, "message": message, "exit_code": exit_code}))
    else:
        with suppress(OutputLost):  # the code still says it
            typer.echo("\n".join(f"ltx-ray: {line}" for line in message.splitlines()), err=True)
    return exit_code


def run() -> None:
    """The console script."""
    open_streams()
    exit_code = main()
    if _would_ray_decide(exit_code):
        for stream in filter(None, (sys.stdout, sys.stderr)):
            with suppress(OutputLost):
                stream.flush()
        os._exit(exit_code)
    sys.exit(exit_code)


def _would_ray_decide(exit_code: int) -> bool:
    """Whether Ray may wait for a head that is gone as the interpreter ends, and end it with a code of its own."""
    if "ray" not in sys.modules:
        return False
    from ltx_ray import api

    return exit_code != 0 or api.is_ray_left_behind()
