"""Renders in one process leave nothing of ours behind. Fifty of them: ``tests/chaos/cluster/test_leaks.py``."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path

import psutil

from ltx_ray import api

CARD = (
    "model: testcard\n"
    "videos: [{{id: a, prompt: fox, seed: {}, preset: draft, width: 128, height: 128, num_frames: 9}}]\n"
)


def standing(folder: Path) -> dict[str, int]:
    """What this process holds and has started, and what lies about of the runs below ``folder``."""
    gc.collect()
    this = psutil.Process()
    named = [child for child in this.children(recursive=True) if "StageActor" in command_line(child)]
    _, actors = psutil.wait_procs(named, timeout=10)
    store = folder / "runs/.store"
    left = [path for name in ("tmp", "tokens") for path in (store / name).iterdir()]
    left += [path for path in folder.rglob(".*") if path != store]
    left += [path for path in Path(tempfile.gettempdir()).iterdir() if path.name.startswith("ltx")]
    counts = {"descriptors": this.num_fds(), "threads": this.num_threads()}
    return counts | {"actors": len(actors), "files": len(left)}


def command_line(process: psutil.Process) -> str:
    """Empty for a process that has ended, whether its parent has taken notice yet or not."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def render_many(folder: Path, num_runs: int, num_warm: int, **options: object) -> tuple[dict, dict]:
    """What stood after the first ``num_warm`` runs and after all of them."""
    found = []
    for seed in range(num_runs):
        (folder / "card.yaml").write_text(CARD.format(seed))
        run = api.RenderOptions(run_dir=folder / "runs" / str(seed), **options)
        assert len(api.render(api.load_manifest(folder / "card.yaml"), run).finished) == 1
        if seed + 1 in (num_warm, num_runs):
            found.append(standing(folder))
    return found[0], found[1]


def test_ten_runs_in_this_process_leave_nothing_behind(tmp_path):
    warm, after = render_many(tmp_path, 10, 3, inline=True)
    assert after == warm and after["files"] == after["actors"] == 0


def test_runs_in_one_ray_session_leave_nothing_behind(tmp_path):
    from ltx_ray.cluster.environment import prepare_environment

    prepare_environment()
    from ltx_ray.cluster.session import ray_session

    with ray_session(None):
        warm, after = render_many(tmp_path, 5, 2, workers=1)
    assert after["files"] == after["actors"] == 0
    assert after["descriptors"] <= warm["descriptors"] and after["threads"] <= warm["threads"], (warm, after)
