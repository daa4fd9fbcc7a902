"""Arguments that several verbs share, said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ManifestArgument = Annotated[
    str, typer.Argument(metavar="MANIFEST", help="YAML, JSON, JSONL, CSV or Parquet; a path or an fsspec URI.")
]
OverridesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="For every video, or ID:KEY=VALUE for one.", show_default=False),
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, for example runs/demo.")]
RunOption = Annotated[Path | None, typer.Option("--run", help="Run directory.  [default: runs/<manifest stem>]")]
StoreOption = Annotated[
    str | None,
    typer.Option("--store", help="Where artifacts are kept: directory or URI.  [default: .store by the run]"),
]
SeamWarningOption = Annotated[
    float, typer.Option(min=0, metavar="TIMES", help="Warn of seams over so many times what is normal.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output.")]
