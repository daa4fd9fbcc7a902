"""What the jobs have in common: where a run lies on a cluster, and how it is rendered there.

The folder in which a job runs is gone with it, so a run lies below $LTX_RAY_RUNS, or in ~/ltx_ray/runs of the head; its
artifacts lie in $LTX_RAY_STORE, or beside it. ``ltx-ray submit`` does the same.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from ltx_ray.cli.main import main


def parser(text: str | None) -> argparse.ArgumentParser:
    """Options of every job; what it does not know is for ``ltx-ray render``, overrides such as ``seed=7`` too."""
    parser = argparse.ArgumentParser(description=(text or "").partition("\n")[0])
    parser.add_argument("--run", help="name of the run, or its directory  [default: the file's stem]")
    parser.add_argument("--store", help="directory that every node sees, or URI  [default: $LTX_RAY_STORE]")
    parser.add_argument("--inline", action="store_true", help="in one process, without Ray")
    return parser


def render(manifest: Path, given: argparse.Namespace, rest: list[str]) -> int:
    """Render a manifest on the cluster of this job; the exit code of ``ltx-ray render``."""
    runs = Path(os.environ.get("LTX_RAY_RUNS") or Path.home() / "ltx_ray/runs")
    store = given.store or os.environ.get("LTX_RAY_STORE")
    where = ["--inline"] if given.inline else ["--address", "auto"]
    where += ["--run", str(runs / (given.run or manifest.stem))]  # an absolute path stays as it is
    where += ["--store", store] if store else []
    return main(["render", str(manifest), *rest, *where])


def render_videos(name: str, manifest: dict[str, Any], given: argparse.Namespace, rest: list[str]) -> int:
    """Render a manifest that was put together here; with ``--print`` show it instead, to be kept and edited."""
    text = yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True, width=100)
    if given.print:
        sys.stdout.write(text)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        return render(path, given, rest)
