"""Runs in a process of its own and forks renders that are killed at random calls, each going on where the last fell.

Two kinds: "toy" runs through everything but the stages, whose bytes are hashes, and imports no torch; "card" renders
real test cards inline. Prints one JSON object of what happened.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet  # noqa: F401 - warm before forking

import ltx_ray.cluster.driver
import ltx_ray.engine.state
import ltx_ray.report.index  # noqa: F401
from ltx_ray import api
from ltx_ray.render import RenderOptions, Session
from ltx_ray.spec.events import Done, Event, TaskDone, WorkerJoined
from ltx_ray.spec.task import STAGES, Task
from ltx_ray.store.key_file import Meta
from ltx_ray.store.layout import RunLayout
from ltx_ray.store.open import open_store
from ltx_ray.store.run_dir import read_plan
from tests.chaos.disk.children import count_calls, die_at, in_child

MANIFESTS = {
    "toy": """
version: 1
model: testcard
defaults: {width: 128, height: 128, seconds: 1}
videos:
  - {id: fox, prompt: A fox, seed: 1}
  - {id: again, prompt: A fox, seed: 1, output: {path: "below/again.mp4"}}
  - id: journey
    segment: {frames: 41, connector: 9}
    scenes: [{prompt: The sea, seconds: 3}, {prompt: The shore, seconds: 1, cut: true}]
""",
    "card": """
version: 1
model: testcard
defaults: {width: 128, height: 128}
videos:
  - {id: fox, prompt: A fox, num_frames: 9}
  - {id: journey, prompt: The sea, num_frames: 49, segment: {frames: 33, connector: 9}}
""",
}


class ToyPool:
    """One worker that makes any artifact at once: bytes that depend on its key and on all bytes it is made of."""

    def __init__(self, store: Any, log: Path) -> None:
        self.store, self.log = store, log
        self.happened: list[Event] = []

    def start(self) -> None:
        self.happened.append(WorkerJoined(time.monotonic(), "toy", frozenset(STAGES)))

    def submit(self, task: Task, worker: str, attempt: int) -> None:
        done = toy(task, self.store)
        with self.log.open("a") as log:
            log.write(f"{task.key}\n")
        self.happened.append(TaskDone(time.monotonic(), task.key, worker, attempt, done))

    def cancel(self, task: str, worker: str, attempt: int) -> None: ...
    def retire(self, worker: str) -> None: ...
    def kill(self, worker: str, cause: str) -> None: ...
    def stop(self) -> None: ...

    def events(self, timeout_s: float) -> Sequence[Event]:
        happened, self.happened = self.happened, []
        return happened


def toy(task: Task, store: Any) -> Done:
    read = {parent.key: store.read(parent.key) for parent in task.parents}
    made_of = {key: hashlib.sha256(data).hexdigest() for key, data in read.items()}
    meta = Meta(stage=task.stage, unit=task.unit, recipe={}, parents=task.parents, made_of=made_of)
    data = hashlib.sha512(task.key.encode() + b"".join(read.values())).digest() * 40
    if task.stage == "inspect":
        data = b'{"seams":[]}'
    with store.scratch() as folder:
        if task.stage in ("decode", "stitch"):
            (folder / "chunk").write_bytes(data)
        bound = store.commit(task.key, folder / "chunk" if task.stage in ("decode", "stitch") else data, meta)
    return Done(task.key, bound.digest, bound.num_bytes)


class ToySession(Session):
    def _pool(self, *args: Any, **kwargs: Any) -> Any:
        return ToyPool(self.store, self.layout.path.parent / "made")


def render(manifest: Any, run: Path) -> None:
    summary = api.render(manifest, RenderOptions(run_dir=run, inline=True))
    assert not summary.unfinished, summary


def outcome(run: Path) -> dict[str, str]:
    """Digests of every artifact of the plan and of every finished file."""
    store, layout = open_store(run.parent / ".store", create=False), RunLayout(run)
    keys = [record["key"] for record in read_plan(layout) if "key" in record]
    found = {key: hashlib.sha256(store.read(key)).hexdigest() for key in keys}
    for file in sorted(path for path in layout.videos.rglob("*") if path.is_file()):
        found[str(file.relative_to(run))] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def litter(run: Path) -> list[str]:
    """Temporary files that nobody will remove, and the lock; what dead writers left in the store is for ``gc``."""
    return [str(path) for path in run.rglob(".*") if path.is_file()] + [str(p) for p in run.glob("lock")]


def twice(run: Path) -> list[str]:
    """Keys that were made although they had been committed."""
    log = run.parent / "made"
    made = log.read_text().split() if log.exists() else []
    return sorted({key for key in made if made.count(key) > 1})


def main(kind: str, root: str, num_kills: int, seed: int) -> None:
    if kind == "toy":
        api.Session = ToySession  # type: ignore[misc]
    else:
        import ltx_ray.models.testcard.model
        import ltx_ray.worker.inline
        import ltx_ray.worker.make  # noqa: F401
    rng, top = random.Random(seed), Path(root)
    errors = top / "errors"
    (top / "manifest.yaml").write_text(MANIFESTS[kind])
    manifest = api.load_manifest(top / "manifest.yaml")
    undisturbed = top / "undisturbed/run"
    num_calls = count_calls(lambda: render(manifest, undisturbed), errors=errors)
    expected = outcome(undisturbed)
    answer: dict[str, Any] = {"calls": num_calls, "kills": 0, "runs": 0, "errors": [], "wrong": [], "twice": []}
    answer["litter"] = []
    while answer["kills"] < num_kills:
        run = top / f"{answer['runs']}/run"
        answer["runs"] += 1
        while True:
            point = rng.randrange(num_calls) if answer["kills"] < num_kills else None

            def work(run: Path = run, point: int | None = point) -> None:
                if point is not None:
                    die_at(point)
                render(manifest, run)

            if not in_child(work, errors=errors):
                break
            answer["kills"] += 1
        if errors.exists():
            answer["errors"].append(errors.read_text())
            break
        if outcome(run) != expected:
            answer["wrong"].append(str(run))
        answer["twice"] += twice(run)
        answer["litter"] += litter(run)
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
