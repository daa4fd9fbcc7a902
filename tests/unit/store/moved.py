"""Runs whose every task is in a store, made without computing anything; their directories can be moved and copied."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ltx_ray.plan.graph import build_plan
from ltx_ray.plan.record import plan_lines
from ltx_ray.run.attempts import begin_record
from ltx_ray.store import run_dir
from ltx_ray.store.artifacts import ArtifactStore
from ltx_ray.store.journal import Journal
from ltx_ray.store.key_file import Meta
from ltx_ray.store.layout import RunLayout
from ltx_ray.store.open import open_store
from ltx_ray.store.runs import store_record
from ltx_ray.store.users import register
from tests.unit.plan.examples import MODELS, manifest, video

META = Meta(stage="decode", unit="fox", recipe={})


def rendered(run: Path, store: ArtifactStore | str | Path, prompt: str = "A fox") -> set[str]:
    """Leave behind what a render leaves at ``run`` and in the store; the keys of its plan."""
    store = store if isinstance(store, ArtifactStore) else open_store(store)
    layout = RunLayout(run)
    run_dir.prepare(layout)
    plan = build_plan(manifest(video(prompt=prompt)), MODELS)
    run_dir.write_lines(layout.plan, plan_lines(plan))
    register(store, layout, plan.tasks)
    with Journal.open(layout.journal) as journal:
        journal.append(begin_record(**store_record(layout, store), num_to_make=len(plan.tasks), at=0.0))
    for key in plan.tasks:
        store.commit(key, key.encode(), META)
    return set(plan.tasks)


def grow_old(folder: Path, days: float = 40.0) -> None:
    """Make every file below ``folder`` so old."""
    past = time.time() - days * 86400
    for file in folder.rglob("*"):
        if file.is_file():
            os.utime(file, (past, past))
