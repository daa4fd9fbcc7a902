"""Planning many plain videos: reading the manifest, every task with its key, and the lines that a run keeps of them.

    python -m benchmarks.planning [--videos 100000] [--rounds 3] [--against TREE]

Each round runs in a process of its own. With ``--against``, a checkout of another commit, the two take turns on the
same manifest, and what counts is the ratio of the medians: a busy machine slows both.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parent.parent
PARTS = ("load_s", "plan_s", "record_s", "total_s", "peak_mib")


def plan_once(manifest_path: str, lines_path: str) -> dict[str, float]:
    """Seconds of each part, and the highest resident memory of this process."""
    from ltx_ray.api import load_manifest
    from ltx_ray.models.catalog import BUILT_IN
    from ltx_ray.plan.graph import build_plan
    from ltx_ray.plan.record import plan_lines

    times = [time.perf_counter()]
    manifest = load_manifest(manifest_path)
    times.append(time.perf_counter())
    plan = build_plan(manifest, BUILT_IN)
    times.append(time.perf_counter())
    with Path(lines_path).open("w") as file:
        file.writelines(f"{line}\n" for line in plan_lines(plan))
    times.append(time.perf_counter())
    load_s, plan_s, record_s = (stop - start for start, stop in pairwise(times))
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    parts = (load_s, plan_s, record_s, times[-1] - times[0], peak_mib)
    return {**dict(zip(PARTS, parts, strict=True)), "tasks": len(plan.tasks)}


def measure(num_videos: int, num_rounds: int, against: Path | None) -> None:
    from benchmarks.command import _spread
    from benchmarks.record import _git, keep

    trees = {"this": ROOT} if against is None else {"this": ROOT, "other": against.resolve()}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in trees}
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "many.jsonl"
        _write_rows(manifest, num_videos)
        for _ in range(num_rounds):
            for name, tree in trees.items():
                found[name].append(_in_tree(tree, str(manifest), f"{folder}/plan.jsonl"))
    assert len({measured["tasks"] for rounds in found.values() for measured in rounds}) == 1
    spreads = {
        name: {part: _spread([measured[part] for measured in rounds]) for part in PARTS}
        for name, rounds in found.items()
    }
    figures: dict[str, object] = {"videos": num_videos, "tasks": found["this"][0]["tasks"], **spreads}
    if against is not None:
        ratios = {part: spreads["this"][part]["median"] / spreads["other"][part]["median"] for part in PARTS}
        figures["ratio"] = {part: round(ratio, 3) for part, ratio in ratios.items()}
        figures["other_commit"] = _git("-C", str(against), "rev-parse", "--short", "HEAD")
    keep("planning", figures | {"target": "<= 1/3 of the time of commit b1f4b9d"})


def _in_tree(tree: Path, *arguments: str) -> dict[str, float]:
    """``plan_once`` with the code of a tree."""
    command = [sys.executable, str(Path(__file__).resolve()), "--once", *arguments]
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONSAFEPATH": "1"}
    told = subprocess.run(command, env=environment, cwd=tree, check=True, capture_output=True, text=True).stdout
    measured: dict[str, float] = json.loads(told)
    return measured


def _write_rows(path: Path, num_videos: int) -> None:
    with path.open("w") as file:
        for idx in range(num_videos):
            row = {"id": f"v{idx:06}", "model": "testcard", "prompt": f"Scene {idx}, a lighthouse at dusk", "seed": idx}
            file.write(json.dumps(row) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", type=Path, metavar="TREE")
    parser.add_argument("--once", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.once:
        print(json.dumps(plan_once(*args.once)))
        return
    measure(args.videos, args.rounds, args.against)


if __name__ == "__main__":
    main()
