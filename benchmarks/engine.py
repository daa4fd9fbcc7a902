"""How fast the engine decides: 10,000 videos of 8 tasks on 1,000 workers, every answer a success.

    python -m benchmarks.engine [--videos 10000] [--workers 1000] [--mixed]

A transition is one change of a task's status: ready, running, done.
``--mixed`` gives the workers six different sets of stages instead of one.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections import deque

from benchmarks.record import keep
from ltx_ray.engine.instructions import Dispatch
from ltx_ray.engine.state import RunState
from ltx_ray.spec.events import Done, TaskDone, WorkerJoined
from ltx_ray.spec.task import STAGES, Stage
from tests.fakes import video_tasks

SETS: tuple[tuple[Stage, ...], ...] = (
    ("generate",),
    ("upscale", "refine"),
    ("decode", "audio_decode"),
    ("stitch", "text_encode"),
    ("generate", "refine"),
    STAGES,
)


def run(num_videos: int, num_workers: int, *, mixed: bool) -> dict[str, object]:
    tasks = [task for idx in range(num_videos) for task in video_tasks(f"v{idx:05}")]
    started = time.perf_counter()
    state = RunState(tasks)
    setup_s = time.perf_counter() - started
    answers: deque[Dispatch] = deque()
    started = time.perf_counter()
    for idx in range(num_workers):
        stages = frozenset(SETS[idx % len(SETS)] if mixed else STAGES)
        out = state.handle(WorkerJoined(0.0, f"w{idx:04}", stages))
        answers.extend(i for i in out if isinstance(i, Dispatch))
    at = 0.0
    while answers:
        dispatch = answers.popleft()
        at += 1.0
        out = state.handle(TaskDone(at, dispatch.task, dispatch.worker, dispatch.attempt, Done(dispatch.task, "d", 1)))
        answers.extend(i for i in out if isinstance(i, Dispatch))
    run_s = time.perf_counter() - started
    num_transitions = sum(len(progress.changes) for progress in state.progress.values())
    assert state.finished and state.total("done") == len(tasks)
    return {
        "tasks": len(tasks),
        "workers": num_workers,
        "mixed": mixed,
        "setup_s": round(setup_s, 3),
        "run_s": round(run_s, 3),
        "transitions_per_s": round(num_transitions / run_s),
        "tasks_per_s": round(len(tasks) / run_s),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "target": ">= 10,000 transitions/s with 1,000 workers",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=1_000)
    parser.add_argument("--mixed", action="store_true")
    args = parser.parse_args()
    keep("engine", run(args.videos, args.workers, mixed=args.mixed))


if __name__ == "__main__":
    main()
