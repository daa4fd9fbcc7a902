"""Arguments that several verbs share, said once."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

import typer

#: A seam that is so many times what is normal inside segments deserves a look.
SEAM_WARNING = 3.0

#: How Python shows bytes of an argument that are no text by the locale.
_UNDECODED = re.compile("[\udc80-\udcff]")


def as_text(argument: str) -> str:
    """An argument that is no path: what people write is UTF-8, also where the locale says that it is not."""
    try:
        return os.fsencode(argument).decode("utf-8") if _UNDECODED.search(argument) else argument
    except UnicodeError:
        return argument  # whoever reads it says what is wrong with it


def _as_texts(arguments: list[str] | None) -> list[str] | None:
    return None if arguments is None else [as_text(argument) for argument in arguments]


ManifestArgument = Annotated[
    str, typer.Argument(metavar="MANIFEST", help="YAML, JSON, JSONL, CSV or Parquet; a path or an fsspec URI.")
]
OverridesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="For every video, or ID:KEY=VALUE for one.",
        show_default=False,
        callback=_as_texts,
    ),
]


def named_run(text: str) -> Path:
    """A run directory as a person names it."""
    from ltx_ray import api

    return api.run_path(text, where="RUN")


def _run_option(text: str) -> Path:
    from ltx_ray import api

    return api.run_path(text)


RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", parser=named_run, help="A run directory, for example runs/demo.")
]
RunThereArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A run directory; with --address, the run as it was submitted.")
]
RunOption = Annotated[
    Path | None,
    typer.Option("--run", metavar="DIR", parser=_run_option, help="Run directory.  [default: runs/<manifest stem>]"),
]
StoreOption = Annotated[
    str | None,
    typer.Option("--store", help="Directory or URI of the artifacts.  [default: that of the run, or .store beside it]"),
]
ModelsOption = Annotated[
    str | None,
    typer.Option(
        "--models",
        metavar="FILE",
        help="Your checkpoints.  [default: models.yaml beside the manifest, here, or in ~/.config/ltx_ray]",
    ),
]
JobsAddressOption = Annotated[
    str,
    typer.Option(
        "--address",
        metavar="URL",
        envvar="RAY_API_SERVER_ADDRESS",
        show_envvar=False,
        help="Job server of a cluster.  [default: $RAY_API_SERVER_ADDRESS, else http://127.0.0.1:8265]",
        callback=lambda url: url or "http://127.0.0.1:8265",
        show_default=False,
    ),
]
ThereOption = Annotated[
    str | None,
    typer.Option("--address", metavar="URL", help="Job server of the cluster where the run was submitted."),
]
SeamWarningOption = Annotated[
    float, typer.Option(min=0, metavar="TIMES", help="Warn of seams over so many times what is normal.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output.")]
