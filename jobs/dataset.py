"""Make a data set of a file of prompts and a sweep, as a job of a Ray cluster: a video for each prompt and combination.

    ray job submit --address http://HOST:8265 --working-dir . -- \\
        python jobs/dataset.py prompts.txt --sweep seed=1,2,3 --sweep preset=distilled,draft model=testcard

One prompt a line; empty lines and lines that begin with # are passed over. An id is the number of its line, so prompts
that are added at the end leave the others as they are. ``index.parquet`` of the run says what each file was made of.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml
from job import parser, render_videos


def videos_of(text: str) -> list[dict[str, Any]]:
    """A video for each line with a prompt. Raises ValueError: there is none."""
    lines = enumerate(text.splitlines(), 1)
    videos = [{"id": f"line-{number:06d}", "prompt": line.strip()} for number, line in lines if _is_prompt(line)]
    if not videos:
        raise ValueError("no prompt in it; write one a line")
    return videos


def sweep_of(options: list[str]) -> dict[str, list[Any]]:
    """``{"seed": [1, 2, 3]}`` of ``seed=1,2,3``. Raises ValueError: one is not KEY=VALUE,VALUE."""
    sweep: dict[str, list[Any]] = {}
    for option in options:
        key, equals, values = option.partition("=")
        if not (key and equals and values):
            raise ValueError(f"--sweep {option}: is not KEY=VALUE,VALUE; write --sweep seed=1,2,3")
        sweep[key] = [yaml.safe_load(value) for value in values.split(",")]
    return sweep


def _is_prompt(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def main() -> int:
    """Exit codes are those of ``ltx-ray render``; 2 too for prompts or a sweep that cannot be read."""
    arguments = parser(__doc__)
    arguments.add_argument("prompts", type=Path)
    arguments.add_argument("--sweep", action="append", default=[], metavar="KEY=VALUE,...", help="can be repeated")
    arguments.add_argument("--print", action="store_true", help="show the manifest and render nothing")
    given, rest = arguments.parse_known_args()
    try:
        sweep = sweep_of(given.sweep)
        manifest: dict[str, Any] = {"version": 1, "videos": videos_of(given.prompts.read_text(encoding="utf-8"))}
    except (OSError, ValueError, yaml.YAMLError) as error:
        sys.stderr.write(f"dataset: {given.prompts}: {getattr(error, 'strerror', None) or error}\n")
        return 2
    return render_videos(given.prompts.stem, manifest | ({"sweep": sweep} if sweep else {}), given, rest)


if __name__ == "__main__":
    sys.exit(main())
