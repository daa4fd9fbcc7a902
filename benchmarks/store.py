"""What durability costs: a commit and its journal record on a local disk, beside what the disk itself asks for.

    python -m benchmarks.store [--tasks 300] [--folder DIR]

A commit makes the object and the key file durable, with their directories: four fsyncs. The record costs one.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.record import keep
from ltx_ray.spec.records import Done
from ltx_ray.spec.task import Parent
from ltx_ray.store import durable
from ltx_ray.store.journal import Journal
from ltx_ray.store.key_file import Meta
from ltx_ray.store.open import open_store

SIZES = {"64 KiB": 64 << 10, "1 MiB": 1 << 20, "16 MiB": 16 << 20}


def key_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def commits(folder: Path, num_tasks: int, num_bytes: int) -> dict[str, float]:
    """Milliseconds of commit and record together, of the record alone, and of nothing but writing the bytes durably."""
    store, data = open_store(folder / ".store"), os.urandom(num_bytes)
    together, alone, plain = [], [], []
    with Journal.open(folder / f"{num_bytes}.jsonl") as journal:
        for idx in range(num_tasks):
            content = idx.to_bytes(8, "big") + data[8:]
            parents = tuple(Parent("latent", key_of(f"parent {idx} {n}")) for n in range(4))
            meta = Meta(stage="refine", unit=f"fox/segment {idx}", recipe={"prompt": "x" * 400}, parents=parents)
            key = key_of(f"{num_bytes} {idx}")
            begun = time.perf_counter()
            bound = store.commit(key, content, meta)
            committed = time.perf_counter()
            journal.append(Done(task=key, digest=bound.digest, num_bytes=bound.num_bytes, run_s=0.0))
            ended = time.perf_counter()
            together.append((ended - begun) * 1000)
            alone.append((ended - committed) * 1000)
            durable.write_new(folder / key, content)
            plain.append((time.perf_counter() - ended) * 1000)
            (folder / key).unlink()
    return {
        "median_ms": round(statistics.median(together), 2),
        "p95_ms": round(statistics.quantiles(together, n=20)[-1], 2),
        "record_median_ms": round(statistics.median(alone), 2),
        "bytes_alone_median_ms": round(statistics.median(plain), 2),
    }


def fsync_ms(folder: Path) -> float:
    """Median milliseconds of one small write and its fsync: the unit that everything above is made of."""
    times = []
    with (folder / "unit").open("wb", buffering=0) as file:
        for _ in range(200):
            begun = time.perf_counter()
            file.write(b"x" * 200)
            os.fsync(file.fileno())
            times.append((time.perf_counter() - begun) * 1000)
    return round(statistics.median(times), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=300)
    parser.add_argument("--folder", type=Path, default=Path(), help="on the disk to measure")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        figures: dict[str, object] = {"tasks": args.tasks, "fsync_ms": fsync_ms(folder)}
        for size, num_bytes in SIZES.items():
            figures[size] = commits(folder, min(args.tasks, (1 << 31) // num_bytes), num_bytes)
        figures["target"] = "<= 5 ms median, commit and record, beyond the bytes themselves"
    keep("store", figures)


if __name__ == "__main__":
    main()
