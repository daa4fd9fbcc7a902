"""Runs in a process of its own and forks children that die, race or fail on a real disk.

Forking here, and not in the test process, keeps it free of threads. Prints one JSON list of what happened.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from ltx_ray.errors import RunLocked
from ltx_ray.store.artifacts import ArtifactStore
from ltx_ray.store.key_file import Meta
from ltx_ray.store.layout import key_name, object_name
from ltx_ray.store.lock import RunLock
from ltx_ray.store.open import open_store

META = Meta(stage="generate", unit="fox", recipe={"seed": 7})
NUM_RACERS = 8

#: Every call that changes the disk, or whose absence would.
CALLS = ("open", "write", "fsync", "close", "link", "replace", "unlink", "chmod", "utime", "mkdir", "ftruncate")


def key_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def watch(on_call: Callable[[str, tuple], None]) -> None:
    """Have ``on_call`` told of each of ``CALLS`` in this process, right before it happens."""

    def wrap(name: str) -> Callable:
        real = getattr(os, name)

        def call(*args, **kwargs):
            on_call(name, args)
            return real(*args, **kwargs)

        return call

    for name in CALLS:
        setattr(os, name, wrap(name))


def die_at(point: int) -> None:
    """SIGKILL this process right before its ``point``-th call; a write is half done then."""
    counter, write = itertools.count(), os.write

    def on_call(name: str, args: tuple) -> None:
        if next(counter) == point:
            if name == "write":
                write(args[0], bytes(args[1])[: len(args[1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)

    watch(on_call)


def in_child(work: Callable[[], None], *, errors: Path | None = None) -> int:
    """Run ``work`` in a fork; 0 if it ended by itself, otherwise the signal that killed it.

    What it raised is written to the file ``errors``.
    """
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:
            if errors is not None:
                errors.write_text(traceback.format_exc())
        finally:
            os._exit(0)
    return os.WTERMSIG(os.waitpid(pid, 0)[1])


def count_calls(work: Callable[[], None], *, errors: Path) -> int:
    """How many calls ``work`` makes, done in a fork."""
    read_end, write_end = os.pipe()

    def counted() -> None:
        calls = []
        watch(lambda name, args: calls.append(name))
        work()
        os.write(write_end, str(len(calls)).encode())

    in_child(counted, errors=errors)
    os.close(write_end)
    answer = os.read(read_end, 99)
    os.close(read_end)
    return int(answer or 0)


def commit(store: ArtifactStore, key: str, data: bytes, as_file: bool) -> None:
    if not as_file:
        store.commit(key, data, META)
        return
    with store.scratch() as folder:
        (folder / "chunk").write_bytes(data)
        store.commit(key, folder / "chunk", META)


def deaths(root: Path, as_file: bool, again: bool) -> Iterator[dict[str, object]]:
    """Die at every point of a commit. ``again``: the key is bound already, to an object that is gone."""
    store = open_store(root)
    for point in itertools.count():
        key, data = key_of(f"{root}{point}"), b"bytes %d " % point * 500
        if again:
            lost = store.commit(key, b"lost %d" % point, META)
            store.shelf.remove(object_name(lost.digest))

        def work(key: str = key, data: bytes = data, point: int = point) -> None:
            die_at(point)
            commit(store, key, data, as_file)

        died = in_child(work)
        seen = "whole" if store.lookup(key) else "absent"
        if seen == "whole" and store.read(key) != data:
            seen = "wrong"
        commit(store, key, data, as_file)
        yield {"died": died, "seen": seen, "healed": store.read(key) == data}
        if not died:
            return


def race(work: Callable[[int], str]) -> list[str]:
    """What ``NUM_RACERS`` children answered that began ``work`` at once; all live until all have answered."""
    start_read, start_write = os.pipe()
    done_read, done_write = os.pipe()
    answer_read, answer_write = os.pipe()
    pids = []
    for idx in range(NUM_RACERS):
        pid = os.fork()
        if pid == 0:
            try:
                os.close(start_write)
                os.close(done_write)
                os.read(start_read, 1)
                os.write(answer_write, f"{work(idx)}\n".encode())
                os.read(done_read, 1)
            finally:
                os._exit(0)
        pids.append(pid)
    os.close(start_write)
    os.close(answer_write)
    answers = b""
    while answers.count(b"\n") < NUM_RACERS and (part := os.read(answer_read, 4096)):
        answers += part
    os.close(done_write)
    for pid in pids:
        os.waitpid(pid, 0)
    for fd in (start_read, done_read, answer_read):
        os.close(fd)
    return answers.decode().split()


def commits(root: Path, before: str) -> Iterator[dict[str, object]]:
    """Eight processes commit different bytes under one key. ``before`` says what they find there."""
    store = open_store(root)
    for turn in range(10):
        key = key_of(str(turn))
        if before == "broken":
            store.shelf.create(key_name(key), b"")
        if before == "dangling":
            store.shelf.remove(object_name(store.commit(key, b"lost %d" % turn, META).digest))

        def work(idx: int, key: str = key, turn: int = turn) -> str:
            return store.commit(key, b"racer %d in turn %d" % (idx, turn), META).digest

        answers = race(work)
        bound = store.lookup(key)
        yield {
            "num_answers": len(answers),
            "agreed": set(answers) == {bound.digest if bound else None},
            "whole": hashlib.sha256(store.read(key)).hexdigest() in answers,
        }


def locks(root: Path, before: str) -> Iterator[dict[str, object]]:
    """Eight processes take one lock, which is absent or that of a process that was killed."""
    for turn in range(12):
        path = root / f"lock-{turn}"
        if before == "stale":

            def hold(path: Path = path) -> None:
                RunLock(path).acquire()
                os.kill(os.getpid(), signal.SIGKILL)

            in_child(hold)

        def work(_: int, path: Path = path) -> str:
            try:
                RunLock(path).acquire()
            except RunLocked:
                return "refused"
            return "held"

        answers = race(work)
        yield {"held": answers.count("held"), "refused": answers.count("refused")}


def main(what: str, root: str, how: str) -> None:
    happened = {
        "deaths": lambda: deaths(Path(root), how.startswith("file"), how.endswith("again")),
        "commits": lambda: commits(Path(root), how),
        "locks": lambda: locks(Path(root), how),
    }[what]
    print(json.dumps(list(happened())))


if __name__ == "__main__":
    main(*sys.argv[1:])
