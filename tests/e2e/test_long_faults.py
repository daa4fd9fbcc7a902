"""Seeded faults in a chain: a plan that joins its segments wrongly renders without complaint, and ``probe`` sees it.

Each fault is put into the recipes or parents of a right plan; workers, stages and files are the real ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from ltx_ray.api import load_manifest
from ltx_ray.models.catalog import BUILT_IN
from ltx_ray.models.load import Loaded
from ltx_ray.plan.dag import Plan
from ltx_ray.plan.graph import build_plan
from ltx_ray.plan.segments import Take, cut_takes
from ltx_ray.proof import probe
from ltx_ray.spec.conditions import Hold
from ltx_ray.spec.piece import Piece
from ltx_ray.spec.recipe import AudioDecodeRecipe, ConnectRecipe, DecodeRecipe, RefineRecipe, SegmentRecipe
from ltx_ray.spec.task import Parent, Task
from ltx_ray.store.open import open_store
from ltx_ray.worker.execute import execute
from tests.e2e.long_cards import write_manifest

Change = Callable[[Task], Task]

#: Four segments of 57 frames, 32 new ones in each later one: a third of an audio cell more than whole ones.
ENTRY = {
    "id": "fox",
    "prompt": "A fox in the snow",
    "num_frames": 145,
    "segment": {"frames": 57, "connector": 17, "overshoot": 8},
}
CONNECTOR_LATENTS = 3


class Silent:
    def alive(self, *, is_loading=False):
        pass

    def step(self, step_idx, num_steps):
        pass


class Farm:
    """A store and a plan in it; of a plan with a fault only what the fault touches is made."""

    def __init__(self, root: Path, entry: dict) -> None:
        self.root, self.store = root, open_store(root / "store")
        manifest = load_manifest(write_manifest(root / "card.json", [entry]))
        self.plan = build_plan(manifest, BUILT_IN)
        (self.take,), _ = cut_takes(manifest.videos[0], BUILT_IN["testcard"])
        self.tasks = {task.name: task for task in self.plan.tasks.values()}

    def wrong(self, change: Change) -> tuple[str, ...]:
        """What is wrong with the file that a changed plan makes."""
        plan = self.changed(change)
        for task in plan.tasks.values():
            if task.stage != "inspect":
                execute(task, self.store, Silent(), Loaded(BUILT_IN))
        stitch = next(task for task in plan.tasks.values() if task.stage == "stitch")
        with self.store.local_path(stitch.key) as path:
            return probe(path).wrong

    def changed(self, change: Change) -> Plan:
        """The plan with every task changed, under the keys that follow; parents are named by their keys before."""
        plan, renamed = Plan(), {}
        for key, task in self.plan.tasks.items():
            new = change(task)
            parents = tuple(Parent(role, renamed[parent]) for role, parent in new.parents)
            renamed[key] = plan.add(new.stage, new.unit, new.recipe, parents)
        return plan

    def key(self, name: str) -> str:
        return self.tasks[name].key


@pytest.fixture(scope="module")
def farm(tmp_path_factory) -> Farm:
    return Farm(tmp_path_factory.mktemp("farm"), ENTRY)


def only(name: str, change: Change) -> Change:
    """``change`` for the task of this name."""

    def changed(task: Task) -> Task:
        return change(task) if task.name == name else task

    return changed


def with_parents(task: Task, **keys: str) -> Task:
    return replace(
        task, parents=tuple(parent._replace(key=keys.get(parent.role, parent.key)) for parent in task.parents)
    )


def seen(wrong: tuple[str, ...], *kinds: str) -> bool:
    """Something is wrong, and each of these kinds of it."""
    return bool(wrong) and all(any(f": {kind}: " in sentence for sentence in wrong) for kind in kinds)


def test_the_untouched_plan_makes_a_right_file(farm):
    assert farm.wrong(lambda task: task) == ()
    assert farm.changed(lambda task: task).tasks == farm.plan.tasks


@pytest.mark.parametrize(
    ("where", "kind"), [(("half",), "strips disagree"), (("full",), "strips disagree"), (("half", "full"), "frame")]
)
@pytest.mark.parametrize("latents", [-1, 1])
def test_a_connector_shifted_by_one_latent_is_seen(farm, where, kind, latents):
    names = [f"fox/segment 2/{size} connect" for size in where]

    def shifted(task: Task) -> Task:
        if task.name not in names:
            return task
        assert isinstance(task.recipe, ConnectRecipe)
        pieces = tuple(Piece(piece.start + latents, piece.stop + latents) for piece in task.recipe.pieces)
        return replace(task, recipe=replace(task.recipe, pieces=pieces))

    assert seen(farm.wrong(shifted), kind)


@pytest.mark.parametrize(
    ("stages", "kind"),
    [(("generate",), "strips disagree"), (("refine",), "strips disagree"), (("generate", "refine"), "frame")],
)
def test_a_dropped_connector_is_seen(farm, stages, kind):
    names = [f"fox/segment 2 {stage}" for stage in stages]

    def dropped(task: Task) -> Task:
        if task.name not in names:
            return task
        parents = tuple(parent for parent in task.parents if parent.role != "condition")
        return replace(task, recipe=replace(task.recipe, conditions=()), parents=parents)

    assert seen(farm.wrong(dropped), kind)


@pytest.mark.parametrize(("where", "stage"), [("half", "generate"), ("full", "refine")])
def test_a_connector_of_the_wrong_segment_is_seen(farm, where, stage):
    other = farm.key(f"fox/segment 1 {stage}")
    fault = only(f"fox/segment 3/{where} connect", lambda task: with_parents(task, latent=other))
    assert seen(farm.wrong(fault), "strips disagree")


@pytest.mark.parametrize("source", ["generate", "upscale"])
def test_a_connector_of_the_wrong_stage_is_seen(farm, source):
    draft = farm.key(f"fox/segment 1 {source}")
    fault = only("fox/segment 2/full connect", lambda task: with_parents(task, latent=draft))
    assert seen(farm.wrong(fault), "unreadable")


@pytest.mark.parametrize(("where", "stage"), [("half", "generate"), ("full", "refine")])
def test_sound_pinned_from_the_wrong_segment_is_heard(farm, where, stage):
    other = farm.key(f"fox/segment 1 {stage}")
    fault = only(f"fox/segment 3/{where} connect", lambda task: with_parents(task, sound=other))
    assert farm.wrong(fault)


def test_latents_joined_from_the_connectors_last_one_are_seen(farm):
    def early(task: Task) -> Task:
        if not isinstance(task.recipe, DecodeRecipe):
            return task
        pieces = tuple(
            Piece(piece.start - (piece.start == CONNECTOR_LATENTS), piece.stop) for piece in task.recipe.pieces
        )
        return replace(task, recipe=replace(task.recipe, pieces=pieces))

    assert seen(farm.wrong(early), "frame")


def test_a_kept_overshoot_is_seen(farm):
    kept = farm.take.segments[0].num_frames - farm.take.segments[0].overshoot

    def late(task: Task) -> Task:
        if not isinstance(task.recipe, DecodeRecipe):
            return task
        pieces = tuple(
            Piece(piece.start, piece.stop + (piece.stop == (kept - 1) // 8 + 1)) for piece in task.recipe.pieces
        )
        return replace(task, recipe=replace(task.recipe, pieces=pieces))

    assert seen(farm.wrong(late), "frame")


def rounded_cells(take: Take, segment_idx: int) -> tuple[int, Piece, Piece]:
    """How cells are counted by whoever rounds in every segment: all, those of the connector, those that are kept."""
    segment = take.segments[segment_idx]
    kept, known = segment.num_frames - segment.overshoot, segment.connector
    count, first, stop = (round(Fraction(25 * frames, 24)) for frames in (segment.num_frames, known, kept))
    return count, Piece(0, first), Piece(first, stop)


def test_sound_on_a_grid_rounded_in_every_segment_is_heard(farm):
    """Each segment counts its cells from its own start and hands over the cells nearest to its end: that drifts."""
    take = farm.take

    def rounded(task: Task) -> Task:
        recipe, words = task.recipe, task.unit.replace("/", " ").split()
        if isinstance(recipe, AudioDecodeRecipe):
            return replace(
                task,
                recipe=replace(recipe, pieces=tuple(rounded_cells(take, idx)[2] for idx in range(len(take.segments)))),
            )
        if isinstance(recipe, ConnectRecipe):
            idx = int(words[2])
            _, known, _ = rounded_cells(take, idx)
            _, _, kept = rounded_cells(take, idx - 1)
            return replace(task, recipe=replace(recipe, cells=Piece(kept.stop - known.stop, kept.stop)))
        if isinstance(recipe, SegmentRecipe):
            idx = int(words[2])
            count, known, _ = rounded_cells(take, idx)
            conditions = tuple(
                replace(each, piece=known) if each.modality == "audio" else each for each in recipe.conditions
            )
            changes = {"audio_start": 0, "num_audio_cells": count, "origin_s": Fraction(0), "conditions": conditions}
            return replace(task, recipe=replace(recipe, **changes))
        return task

    assert seen(farm.wrong(rounded), "beep missing")


def test_cells_joined_one_off_are_heard(farm):
    def shifted(task: Task) -> Task:
        if not isinstance(task.recipe, AudioDecodeRecipe):
            return task
        first, *later = task.recipe.pieces
        pieces = (first, *(Piece(piece.start - 1, piece.stop) for piece in later))
        return replace(task, recipe=replace(task.recipe, pieces=pieces))

    assert seen(farm.wrong(shifted), "beep late")


@pytest.fixture(scope="module")
def alternating(tmp_path_factory) -> Farm:
    """Its segments 1 and 3 are held at both ends."""
    return Farm(tmp_path_factory.mktemp("alternating"), {**ENTRY, "num_frames": 177, "refine": "alternate"})


def test_the_untouched_plan_in_alternate_order_makes_a_right_file(alternating):
    assert alternating.wrong(lambda task: task) == ()


@pytest.mark.parametrize("latents", [-1, 1])
def test_a_tail_put_one_latent_off_is_seen(alternating, latents):
    def moved(task: Task) -> Task:
        assert isinstance(task.recipe, RefineRecipe)
        *head, video, audio = task.recipe.conditions
        assert len(head) == 2 and isinstance(video, Hold) and video.start > 0
        conditions = (*head, replace(video, start=video.start + latents), audio)
        return replace(task, recipe=replace(task.recipe, conditions=conditions))

    assert seen(alternating.wrong(only("fox/segment 1 refine", moved)), "unreadable")


def test_a_tail_of_the_wrong_segment_is_seen(alternating):
    other = alternating.key("fox/segment 2 refine")

    def wrong_tail(task: Task) -> Task:
        *rest, _, _ = task.parents
        assert [parent.role for parent in rest[-2:]] == ["condition"] * 2
        return replace(task, parents=(*rest, *[Parent("condition", other)] * 2))

    fault = only("fox/segment 3 refine", wrong_tail)
    assert seen(alternating.wrong(fault), "unreadable")


def test_a_free_segment_that_was_not_meant_to_be_is_seen(alternating):
    def unmeant(task: Task) -> Task:
        assert isinstance(task.recipe, RefineRecipe) and task.recipe.call is not None and task.recipe.call.is_free
        return replace(task, recipe=replace(task.recipe, call=replace(task.recipe.call, is_free=False)))

    assert seen(alternating.wrong(only("fox/segment 2 refine", unmeant)), "strips disagree")


@pytest.fixture(scope="module")
def faded(tmp_path_factory) -> Farm:
    """Its segments are decoded one by one, and blended."""
    return Farm(tmp_path_factory.mktemp("faded"), {**ENTRY, "join": "pixels", "crossfade": 8})


def test_the_untouched_plan_of_blended_segments_makes_a_right_file(faded):
    assert faded.wrong(lambda task: task) == ()


@pytest.mark.parametrize("frames", [-1, 1, 8])
def test_a_blend_from_the_wrong_frames_is_seen(faded, frames):
    def late(task: Task) -> Task:
        assert isinstance(task.recipe, DecodeRecipe) and task.recipe.fade is not None
        fade = replace(task.recipe.fade, start=task.recipe.fade.start + frames)
        return replace(task, recipe=replace(task.recipe, fade=fade))

    assert faded.wrong(only("fox/window 2 decode", late))


def test_a_blend_with_the_wrong_segment_is_seen(faded):
    other = faded.key("fox/segment 0 refine")
    assert faded.wrong(only("fox/window 2 decode", lambda task: with_parents(task, previous=other)))


@pytest.mark.parametrize("frames", [-8, -1, 1, 8])
def test_a_segment_shown_from_the_wrong_frame_is_seen(faded, frames):
    def moved(task: Task) -> Task:
        assert isinstance(task.recipe, DecodeRecipe)
        recipe = replace(task.recipe, start=task.recipe.start + frames, stop=task.recipe.stop + frames)
        return replace(task, recipe=recipe)

    assert seen(faded.wrong(only("fox/window 1 decode", moved)), "frame")
