"""Runs in a process of its own and forks renders that are killed at random calls, or on a disk that fails.

Two kinds: "toy" runs through everything but the stages, whose bytes are hashes, and imports no torch; "card" renders
real test cards inline. Prints one JSON object of what happened.
"""

from __future__ import annotations

import errno
import hashlib
import io
import itertools
import json
import os
import random
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet  # noqa: F401 - warm before forking

import ltx_ray.cluster.driver
import ltx_ray.engine.state
import ltx_ray.report.index  # noqa: F401
from ltx_ray import api
from ltx_ray.errors import ArtifactCorrupt, ArtifactMissing, StoreError
from ltx_ray.run import rounds
from ltx_ray.run.options import RenderOptions
from ltx_ray.run.render import Session
from ltx_ray.spec.events import Done, Event, Failure, TaskDone, TaskFailed, WorkerJoined
from ltx_ray.spec.task import STAGES, Task
from ltx_ray.store.faults import storage_errors
from ltx_ray.store.key_file import Meta
from ltx_ray.store.layout import RunLayout
from ltx_ray.store.open import open_store
from ltx_ray.store.run_dir import read_plan
from tests.chaos.disk.children import count_calls, die_at, in_child, watch

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


#: Calls that a full or broken disk refuses; opening counts where it creates.
NEEDS_DISK = ("open", "write", "fsync", "link", "mkdir")


#: Of the toy software; another one makes other bytes.
VERSION = b""

#: What was made is noted by calls that neither kill nor fail.
open_log, log_line, LOG_FLAGS = os.open, os.write, os.O_WRONLY | os.O_CREAT | os.O_APPEND


class ToyPool:
    """One worker that makes any artifact at once: bytes that depend on its key and on all bytes it is made of."""

    def __init__(self, store: Any, log: Path) -> None:
        self.store, self.log = store, open_log(log, LOG_FLAGS)
        self.happened: list[Event] = []

    def start(self) -> None:
        self.happened.append(WorkerJoined(time.monotonic(), "toy", frozenset(STAGES)))

    def submit(self, task: Task, worker: str, attempt: int) -> None:
        try:
            done = toy(task, self.store)
        except (StoreError, ArtifactCorrupt, ArtifactMissing) as error:
            if isinstance(error, ArtifactCorrupt):
                self.store.condemn(error.key)  # as a real worker does
            cause = "storage" if isinstance(error, StoreError) else "input_lost"
            failure = Failure(type(error).__name__, str(error), "", retryable=error.retryable, cause=cause)
            self.happened.append(TaskFailed(time.monotonic(), task.key, worker, attempt, failure))
            return
        log_line(self.log, f"{task.key}\n".encode())
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
    data = hashlib.sha512(VERSION + task.key.encode() + b"".join(read.values())).digest() * 40
    if task.stage == "inspect":
        data = b'{"seams":[]}'
    with store.scratch() as folder:
        if task.stage in ("decode", "stitch"):
            with storage_errors(folder):
                (folder / "chunk").write_bytes(data)
        bound = store.commit(task.key, folder / "chunk" if task.stage in ("decode", "stitch") else data, meta)
    return Done(task.key, bound.digest, bound.num_bytes)


class ToySession(Session):
    def _inline_pool(self, *args: Any, **kwargs: Any) -> Any:
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


def load(kind: str, top: Path) -> Any:
    """The manifest, with everything imported that a render of it needs."""
    if kind == "toy":
        rounds.Session = ToySession  # type: ignore[misc]
    else:
        import ltx_ray.models.testcard.model
        import ltx_ray.worker.inline
        import ltx_ray.worker.make  # noqa: F401
    (top / "manifest.yaml").write_text(MANIFESTS[kind])
    return api.load_manifest(top / "manifest.yaml")


def kills(kind: str, top: Path, num_kills: int, seed: int) -> dict[str, Any]:
    """Kill ``num_kills`` renders, each going on where the last fell; a run is looked at when one got through."""
    rng, errors, manifest = random.Random(seed), top / "errors", load(kind, top)
    undisturbed = top / "undisturbed/run"
    open_store(undisturbed.parent / ".store")
    num_calls = count_calls(lambda: render(manifest, undisturbed), errors=errors)
    expected = outcome(undisturbed)
    answer: dict[str, Any] = {"kills": 0, "runs": 0, "errors": [], "wrong": [], "twice": [], "litter": []}
    answer |= {"artifacts": len(expected), "torch": "torch" in sys.modules}
    while answer["kills"] < num_kills:
        run = top / f"{answer['runs']}/run"
        answer["runs"] += 1
        if answer["runs"] % 4:
            # Most of a first render's calls make the directories of its store; spend the kills on what follows.
            open_store(run.parent / ".store")
        while True:
            point = rng.randrange(num_calls // 2) if answer["kills"] < num_kills else None

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
    return answer


def break_at(point: int, code: int, *, stays: bool) -> None:
    """Make the ``point``-th call of this process that needs the disk fail, or with ``stays`` every one from it on."""
    counter = itertools.count()

    def on_call(name: str, args: tuple[Any, ...]) -> None:
        is_needed = name in NEEDS_DISK and (name != "open" or args[1] & os.O_CREAT)
        if is_needed and ((idx := next(counter)) == point or (stays and idx > point)):
            raise OSError(code, os.strerror(code))

    watch(on_call)
    opened = io.open

    def open_file(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if set(mode) & set("wax"):
            on_call("write", ())
        return opened(file, mode, *args, **kwargs)

    io.open = open_file  # what Path.open and Path.write_bytes call


def faults(kind: str, top: Path, num_points: int, seed: int) -> dict[str, Any]:
    """Render on disks that are full from a random call on, or that fail once; then on one that works."""
    rng, errors, manifest = random.Random(seed), top / "errors", load(kind, top)
    undisturbed = top / "undisturbed/run"
    open_store(undisturbed.parent / ".store")
    num_calls = count_calls(lambda: render(manifest, undisturbed), errors=errors)
    expected = outcome(undisturbed)
    answer: dict[str, Any] = {"ends": [], "errors": [], "wrong": [], "twice": [], "litter": []}
    for idx in range(num_points):
        run = top / f"{idx}/run"
        open_store(run.parent / ".store")
        code, stays = ((errno.ENOSPC, True), (errno.EIO, False))[idx % 2]
        ending = top / "ending"

        def work(run: Path = run, code: int = code, stays: bool = stays, ending: Path = ending) -> None:
            end_fd = os.open(ending, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            break_at(rng.randrange(num_calls // 2), code, stays=stays)
            try:
                summary = api.render(manifest, RenderOptions(run_dir=run, inline=True))
                end = "unfinished" if summary.unfinished else "finished"
            except StoreError as error:
                end = f"{type(error).__name__}: {error}"
            except Exception:  # nothing else may come out, and writing it elsewhere would fail as well
                end = traceback.format_exc()
            log_line(end_fd, end.encode())

        rng.random()  # the child draws from a copy
        in_child(work, errors=errors)
        answer["ends"].append([errno.errorcode[code], ending.read_text()])
        answer["litter"] += litter(run) + [str(path) for path in (run.parent / ".store/tmp").iterdir()]
        in_child(lambda run=run: render(manifest, run), errors=errors)
        if errors.exists():
            answer["errors"].append(errors.read_text())
            break
        if outcome(run) != expected:
            answer["wrong"].append(str(run))
        answer["twice"] += twice(run)
    return answer


if __name__ == "__main__":
    what = {"kills": kills, "faults": faults}[sys.argv[1]]
    print(json.dumps(what(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))))
