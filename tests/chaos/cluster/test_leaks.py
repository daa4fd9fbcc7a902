"""Fifty runs in one process leave nothing behind: no process, thread, descriptor or temporary file of ours."""

from __future__ import annotations

import tempfile
from pathlib import Path

import psutil
import pytest

from ltx_ray import api
from ltx_ray.cluster.environment import prepare_environment
from tests.chaos.cluster.farm import actors

pytestmark = pytest.mark.slow

NUM_RUNS, NUM_WARM = 50, 10


def standing() -> dict[str, int]:
    """What this process holds, and what it has started that still runs."""
    this = psutil.Process()
    ours = [name for path in Path(tempfile.gettempdir()).iterdir() if (name := path.name).startswith("ltx")]
    _, actors_left = psutil.wait_procs(actors(), timeout=10)
    return {
        "descriptors": this.num_fds(),
        "threads": this.num_threads(),
        "actors": len(actors_left),
        "temporary files": len(ours),
    }


def run_many(folder: Path, options: dict) -> None:
    """Render again and again, each time another seed, and hold what is left at the end to what was after some."""
    warm = {}
    for seed in range(NUM_RUNS):
        (folder / "card.yaml").write_text(
            f"model: testcard\nvideos: [{{id: a, prompt: fox, seed: {seed}, width: 128, height: 128, seconds: 0.4}}]\n"
        )
        run = api.RenderOptions(run_dir=folder / "runs" / str(seed), **options)
        summary = api.render(api.load_manifest(folder / "card.yaml"), run)
        assert len(summary.finished) == 1
        if seed == NUM_WARM - 1:
            warm = standing()
    now = standing()
    grown = {what: (warm[what], now[what]) for what in now if now[what] > warm[what]}
    assert not grown, grown
    assert not list((folder / "runs/.store/tmp").iterdir()) and not list((folder / "runs/.store/tokens").iterdir())


def test_fifty_runs_in_this_process_leave_nothing_behind(tmp_path):
    run_many(tmp_path, {"inline": True})


def test_fifty_runs_in_one_ray_session_leave_nothing_behind(tmp_path):
    prepare_environment()
    from ltx_ray.cluster.session import ray_session

    with ray_session(None):
        run_many(tmp_path, {"workers": 1})
