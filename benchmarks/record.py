"""Where a figure comes from, and the file it is kept in."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("ray", "torch", "av", "numpy")


def origin() -> dict[str, object]:
    """Machine, versions and commit; a tree with uncommitted changes says so."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": _git("rev-parse", "--short", "HEAD") + ("+changes" if _git("status", "--porcelain") else ""),
        "machine": f"{platform.machine()} {platform.system()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB, no GPU",
        "cpu": _cpu(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def keep(theme: str, figures: dict[str, object]) -> None:
    """Print the figures and write them to ``results/<theme>_cpu_<date>.json``."""
    record = {"theme": theme, **figures, "origin": origin()}
    text = json.dumps(record, indent=1)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{theme}_cpu_{datetime.now(UTC).date().isoformat()}.json").write_text(text + "\n")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False).stdout.strip()


def _memory_gib() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
