"""A plan held against a store."""

from ltx_ray.plan.graph import build_plan
from ltx_ray.plan.reasons import LastPlan
from ltx_ray.run.dry import compare
from ltx_ray.store.key_file import Meta
from ltx_ray.store.open import open_store
from tests.unit.plan.examples import MODELS, manifest


def test_a_store_that_has_lost_everything_is_spoken_of(tmp_path):
    """It may only be unmounted: making ten hours again is not what anybody wants."""
    store = open_store(tmp_path / "store")
    plan = build_plan(manifest(), MODELS)
    last = LastPlan(list(plan.tasks)[:5], {}, {})
    assert [*compare(plan, store, last).notes()] == [
        "store: keeps nothing of this plan, though 5 of its tasks were made before; see that it is the right one and "
        "mounted, or all of them are made again"
    ]


def test_nothing_is_said_of_a_store_that_keeps_something_or_of_a_first_render(tmp_path):
    store = open_store(tmp_path / "store")
    plan = build_plan(manifest(), MODELS)
    assert compare(plan, store, None).plan.notes == []
    key, task = next(iter(plan.tasks.items()))
    store.commit(key, b"text", Meta(stage=task.stage, unit=task.unit, recipe={}, run_s=0, total_s=0))
    assert compare(plan, store, LastPlan(list(plan.tasks), {}, {})).plan.notes == []
