"""Which runs use a store, what they need of it, and which of them have had their time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from ltx_ray.store import run_dir
from ltx_ray.store.artifacts import ArtifactStore
from ltx_ray.store.faults import storage_errors
from ltx_ray.store.journal import read_journal
from ltx_ray.store.layout import RunLayout
from ltx_ray.store.local import LocalShelf
from ltx_ray.store.lock import read_lock


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run whose every file is in place and that nobody renders."""

    layout: RunLayout
    at_rest_s: float  #: since its journal was last written
    files: tuple[Path, ...]

    @property
    def num_bytes(self) -> int:
        return sum(file.stat().st_size for file in self.files)


def runs_beside(store: ArtifactStore) -> list[RunLayout]:
    """Runs in directories next to a local store that were last rendered with it, in order of their names.

    Raises:
        StoreError: the journal of one cannot be read.
    """
    if not isinstance(store.shelf, LocalShelf):
        return []
    root = store.shelf.root.resolve()
    with storage_errors(root.parent):
        neighbours = sorted(path for path in root.parent.iterdir() if path.is_dir()) if root.parent.is_dir() else []
    layouts = [RunLayout(path) for path in neighbours if path != root]
    return [layout for layout in layouts if layout.plan.exists() and _uses(layout, root)]


def keys_of(layout: RunLayout) -> set[str]:
    """Every key of the run's plan. Raises as ``run_dir.read_plan``: of a run that cannot be read nothing is known."""
    return {record["key"] for record in run_dir.read_plan(layout) if "key" in record}


def finished_run(layout: RunLayout) -> FinishedRun | None:
    """The run if it is finished and at rest. Raises as ``run_dir.read_plan``."""
    holder = read_lock(layout.lock)
    if holder is not None and holder.life != "dead":
        return None
    published = run_dir.published(read_journal(layout.journal))
    paths = [record["video"]["path"] for record in run_dir.read_plan(layout) if "video" in record]
    with storage_errors(layout.path):
        files = tuple(layout.videos / path for path in paths)
        if not all(path in published and file.is_file() for path, file in zip(paths, files, strict=True)):
            return None
        return FinishedRun(layout, time.time() - layout.journal.stat().st_mtime, files)


def _uses(layout: RunLayout, root: Path) -> bool:
    last = run_dir.last_store(read_journal(layout.journal))
    # A journal that was lost says nothing; the run then counts as one of this store, so that nothing of it goes.
    return last is None or ("://" not in last and Path(last).resolve() == root)
