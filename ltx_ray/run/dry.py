"""A plan held against a store: what is kept, what must be made, what must go because its inputs are others now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ltx_ray.plan.dag import Plan
from ltx_ray.plan.notes import Note, grouped
from ltx_ray.plan.reasons import LastPlan, Reason, explain, needed
from ltx_ray.spec.task import Task

if TYPE_CHECKING:
    from ltx_ray.manifest.schema import Manifest
    from ltx_ray.run.record import Run
    from ltx_ray.spec.model import ModelFacts
    from ltx_ray.store.protocol import Store


@dataclass(frozen=True, slots=True)
class DryRun:
    """A plan held against what is kept."""

    plan: Plan
    kept: frozenset[str]
    needed: frozenset[str]
    last: LastPlan | None

    def notes(self, *, each: bool = False) -> Iterator[str]:
        """What a user should know; many of a kind in one sentence unless ``each`` is wanted."""
        notes = self.plan.notes
        return map(str, notes) if each else grouped(notes, remedy="`ltx-ray plan --all` lists them")

    def reasons(self) -> Iterator[tuple[Task, Reason]]:
        """Every task and why it is cached, skipped or made; parents before children."""
        return explain(self.plan, self.kept, self.last)


def plan_run(run: Run, manifest: Manifest, models: Mapping[str, ModelFacts]) -> DryRun:
    """What a render of ``manifest`` at the place of ``run`` would make; writes nothing."""
    from ltx_ray.manifest.taken import with_sources
    from ltx_ray.plan.graph import build_plan
    from ltx_ray.run.elsewhere import run_elsewhere
    from ltx_ray.run.seeds import with_seeds
    from ltx_ray.run.sources import read_sources
    from ltx_ray.store.open import open_store

    history, place = run.history, run.place_to_render()
    manifest = with_seeds(manifest, run)
    sources = read_sources(manifest, run.layout.sources).facts
    manifest, taken = with_sources(manifest, sources, models)
    plan = build_plan(manifest, models, sources)
    plan.notes.extend(taken_notes(taken))
    plan.notes.extend(published_notes(manifest, models))
    plan.notes.extend(filter(None, [run_elsewhere(run.layout, manifest.source)]))
    return compare(plan, open_store(place, create=False), run.last_plan(), note=history.note)


def published_notes(manifest: Manifest, models: Mapping[str, ModelFacts]) -> Iterator[Note]:
    """What a plan says of models whose files are not here."""
    from ltx_ray.models.catalog import Catalog
    from ltx_ray.models.published import LOADER, note_of

    for name in sorted({video.model for video in manifest.videos}):
        if isinstance(models, Catalog) and models.entry(name).loader == LOADER:
            yield Note(note_of(name), f"model {name}")


def taken_notes(taken: Iterable[tuple[str, str]]) -> Iterator[Note]:
    """What videos take from their files."""
    many = "videos take size, rate, length or shape from their files"
    return (Note(what, video_id, many) for video_id, what in taken)


def compare(plan: Plan, store: Store, last: LastPlan | None, *, note: str | None = None) -> DryRun:
    """``plan`` against what ``store`` keeps and what was planned last; ``note`` goes with those of the plan."""
    kept = frozenset(store.known(plan.tasks))
    if not kept and last is not None and (num_made := len(plan.tasks.keys() & set(last.made))):
        what = (
            f"keeps nothing of this plan, though {num_made} of its tasks were made before; see that it is the right "
            "one and mounted, or all of them are made again"
        )
        plan.notes.append(Note(what, "store"))
    if note:
        plan.notes.append(Note(note))
    return DryRun(plan, kept, frozenset(needed(plan, kept)), last)


def forget_estranged(store: Store, plan: Plan) -> int:
    """Forget what was made of other bytes than its inputs have now, and all that was made of that; how much."""
    doomed = store.estranged(plan.tasks)
    if doomed:
        for key, task in plan.tasks.items():
            if any(parent.key in doomed for parent in task.parents):
                doomed.add(key)
    for key in reversed(plan.tasks):  # what was made last goes first: dying here leaves the reason for the rest
        if key in doomed:
            store.forget(key)
    return len(doomed)


def forget_spoilt(store: Store, plan: Plan) -> None:
    """Forget every spoilt artifact that making what is missing would read; hashes all that it would."""
    checked: set[str] = set()
    while True:
        kept = store.known(plan.tasks)
        inputs = {parent.key for key in needed(plan, kept) for parent in plan.tasks[key].parents}
        fresh = inputs & kept - checked
        if not fresh:
            return
        for key in fresh:
            store.condemn(key)
        checked |= fresh
