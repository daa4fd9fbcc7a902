"""A run of the same manifest that was rendered from another directory: it would be computed again."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from ltx_ray.manifest.files import stem_of
from ltx_ray.plan.notes import Note
from ltx_ray.store.layout import RunLayout

#: Directories above the manifest, and above the one where the command runs, in which one is looked for.
LEVELS = 3


def run_elsewhere(layout: RunLayout, source: str) -> Note | None:
    """What to say before a run of ``source`` is made at ``layout``, if that is where one is made by default."""
    name, folder = stem_of(source), layout.path.absolute().parent
    if layout.journal.exists() or (folder.name, layout.path.name) != ("runs", name) or "://" in source:
        return None
    beside = Path(source).absolute().parent
    for place in dict.fromkeys([*_upwards(beside), *_upwards(folder.parent)]):
        other = place / "runs" / name
        if place != folder.parent and RunLayout(other).journal.exists():
            return Note(f"{name} was rendered at {other} before; `--run {other}` goes on there", "runs")
    return None


def _upwards(folder: Path) -> list[Path]:
    return list(islice([folder, *folder.parents], LEVELS))
