"""What durability costs: resuming a finished run, as a user does it, and the driver's memory for many tasks.

    python -m benchmarks.durable [resume] [memory]

Artifacts are a few bytes each, so that only our own work is measured; the stages never run.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from benchmarks.command import COMMAND, _spread
from benchmarks.record import keep
from ltx_ray.api import load_manifest
from ltx_ray.models.catalog import BUILT_IN
from ltx_ray.plan.graph import build_plan
from ltx_ray.spec.events import Done, Event, TaskDone, WorkerJoined
from ltx_ray.spec.task import STAGES, Task
from ltx_ray.store.key_file import Meta
from ltx_ray.store.open import open_store

#: A card of 5 s is 8 tasks.
RESUMED_VIDEOS, MANY_VIDEOS = 250, 12_500
NUM_WORKERS = 64


def measure_resume() -> None:
    with tempfile.TemporaryDirectory() as folder:
        manifest = _rows(Path(folder) / "many.jsonl", RESUMED_VIDEOS)
        run = f"{folder}/runs/many"
        plan = build_plan(load_manifest(manifest), BUILT_IN)
        store = open_store(f"{folder}/runs/.store")
        for key, task in plan.tasks.items():
            store.commit(key, key.encode(), Meta(stage=task.stage, unit=task.unit, recipe={}, parents=task.parents))
        walls = []
        for _ in range(8):  # the first one puts the files in place
            begun = time.perf_counter()
            subprocess.run([*COMMAND, "render", str(manifest), "--run", run], check=True, capture_output=True)
            walls.append(time.perf_counter() - begun)
    figures = {"tasks": len(plan.tasks), "videos": RESUMED_VIDEOS, "wall_s": _spread(walls[1:])}
    keep("resume", figures | {"target": "<= 5 s for 2,000 tasks, the whole command"})


def measure_memory() -> None:
    """In a process of its own, whose peak is what counts."""
    code = "from benchmarks.durable import drive_many; drive_many()"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    keep("driver_memory", json.loads(told.splitlines()[-1]) | {"target": "<= 1024 MiB for 100,000 tasks"})


def drive_many() -> None:
    """Plan and drive every task of many videos to its end, with a real journal and Ray loaded; print the peak."""
    import ltx_ray.cluster.pools  # noqa: F401  # Ray's own memory counts
    from ltx_ray.cluster.driver import StopSignals, drive
    from ltx_ray.engine.priority import STAGE_WEIGHTS
    from ltx_ray.engine.state import RunState
    from ltx_ray.plan.record import plan_lines
    from ltx_ray.run.dry import compare
    from ltx_ray.store.journal import Journal
    from ltx_ray.store.run_dir import write_lines

    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        manifest = load_manifest(_rows(Path(folder) / "many.jsonl", MANY_VIDEOS))
        plan = build_plan(manifest, BUILT_IN)
        dry = compare(plan, open_store(f"{folder}/.store"), None)
        write_lines(Path(folder) / "plan.jsonl", plan_lines(plan))
        planned_s = time.perf_counter() - begun
        state = RunState((plan.tasks[key] for key in plan.tasks if key in dry.needed), weights=STAGE_WEIGHTS)
        with Journal.open(Path(folder) / "journal.jsonl") as journal:
            drive(
                state,
                _Instant(),
                record=lambda records: journal.append(*records),
                signals=StopSignals(),
                on_turn=lambda state: None,
            )
        driven_mib, driven_s = _peak_mib(), time.perf_counter() - begun - planned_s
        with Journal.open(Path(folder) / "journal.jsonl") as journal:  # as who resumes it has it
            num_records = len(journal.history.records)
        num_bytes = (Path(folder) / "journal.jsonl").stat().st_size
    assert state.total("done") == len(plan.tasks)
    figures = {
        "tasks": len(plan.tasks),
        "peak_mib": driven_mib,
        "peak_with_history_mib": _peak_mib(),
        "plan_s": round(planned_s, 1),
        "drive_s": round(driven_s, 1),
        "journal_records": num_records,
        "journal_mib": round(num_bytes / 2**20, 1),
    }
    print(json.dumps(figures))


def _peak_mib() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


class _Instant:
    """Workers that have done everything as soon as they are asked what happened."""

    def __init__(self) -> None:
        self._happened: deque[Event] = deque()

    def start(self) -> None:
        now = time.monotonic()
        self._happened.extend(WorkerJoined(now, f"w{idx}", frozenset(STAGES), "node") for idx in range(NUM_WORKERS))

    def submit(self, task: Task, worker: str, attempt: int) -> None:
        done = Done(task.key, task.key, 1_000_000, 1.0, 1.5, 2**30)
        self._happened.append(TaskDone(time.monotonic(), task.key, worker, attempt, done))

    def events(self, timeout_s: float) -> Sequence[Event]:
        happened = list(self._happened)
        self._happened.clear()
        return happened

    def cancel(self, task: str, worker: str, attempt: int) -> None: ...
    def retire(self, worker: str) -> None: ...
    def kill(self, worker: str, cause: str) -> None: ...
    def stop(self) -> None: ...


def _rows(path: Path, num_videos: int) -> Path:
    """A manifest of so many different cards of 5 s."""
    with path.open("w") as file:
        for idx in range(num_videos):
            row = {"id": f"v{idx:05}", "model": "testcard", "prompt": f"Scene {idx}, a lighthouse at dusk", "seed": idx}
            file.write(json.dumps(row) + "\n")
    return path


def main() -> None:
    wanted = sys.argv[1:] or ["resume", "memory"]
    for name in wanted:
        {"resume": measure_resume, "memory": measure_memory}[name]()


if __name__ == "__main__":
    main()
