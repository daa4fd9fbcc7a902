"""What ``keep`` lets go, and what it spares for others."""

from __future__ import annotations

import pytest

from ltx_ray.plan.graph import build_plan
from ltx_ray.plan.record import plan_lines
from ltx_ray.run import keeping
from ltx_ray.run.keeping import Keeper
from ltx_ray.spec.records import Record
from ltx_ray.store import run_dir
from ltx_ray.store.key_file import Meta
from ltx_ray.store.layout import RunLayout
from ltx_ray.store.open import open_store
from ltx_ray.store.users import register
from tests.fakes import FakeClock
from tests.unit.plan.examples import MODELS, manifest, video

PLAN = build_plan(manifest(video("fox"), video("owl", prompt="an owl")), MODELS)
STITCH = {one.id: one.stitch for one in PLAN.videos}
FOX = {key for key, task in PLAN.tasks.items() if task.unit.startswith("fox")}


@pytest.fixture
def clock(monkeypatch):
    clock = FakeClock(100.0)
    monkeypatch.setattr(keeping.time, "monotonic", clock)
    return clock


@pytest.fixture
def keeper(tmp_path, clock):
    """Keeps outputs alone; everything of the fox is made."""
    store = open_store(tmp_path / ".store")
    for key in FOX:
        store.commit(key, key.encode(), Meta(stage=PLAN.tasks[key].stage, unit="", recipe={}))
    layout = RunLayout(tmp_path / "run")
    run_dir.prepare(layout)
    run_dir.write_lines(layout.plan, plan_lines(PLAN))
    return Keeper(layout, store, PLAN, "outputs", made=set(FOX), record=said.extend)


said: list[Record] = []


@pytest.fixture(autouse=True)
def nothing_said():
    said.clear()


def test_what_a_finished_video_was_made_of_goes_and_is_told(keeper):
    keeper.tidy(FOX)
    assert keeper.store.keys() == {STITCH["fox"]}
    (record,) = said
    assert record.event == "dropped" and set(record.tasks) == FOX - {STITCH["fox"]}
    assert record.num_bytes == 64 * (len(FOX) - 1)


def test_what_the_run_did_not_make_stays(keeper):
    own = sorted(FOX - {STITCH["fox"]})[0]
    keeper.made = {own}
    keeper.tidy(FOX)
    assert keeper.store.keys() == FOX - {own}


@pytest.mark.parametrize("content", [None, "{broken\n", ""])
def test_what_a_plan_beside_it_may_name_stays(keeper, content):
    beside = RunLayout(keeper.layout.path.parent / "beside")
    run_dir.prepare(beside)
    if content is None:
        run_dir.write_lines(beside.plan, plan_lines(PLAN))
    else:
        beside.plan.write_text(content)
    keeper.tidy(FOX)
    assert keeper.store.keys() == FOX and said == []


@pytest.mark.parametrize("sight", ["elsewhere", "out of sight"])
def test_what_a_run_far_from_the_store_needs_stays(keeper, tmp_path_factory, sight):
    elsewhere = RunLayout(tmp_path_factory.mktemp("elsewhere") / "run")
    if sight == "elsewhere":
        run_dir.prepare(elsewhere)
        run_dir.write_lines(elsewhere.plan, plan_lines(PLAN))
    spared = sorted(FOX - {STITCH["fox"]})[0]
    register(keeper.store, elsewhere, FOX if sight == "elsewhere" else [spared])
    if sight == "out of sight":
        elsewhere.path.parent.rmdir()
    keeper.tidy(FOX)
    assert keeper.store.keys() == (FOX if sight == "elsewhere" else {STITCH["fox"], spared})


def test_inputs_of_an_unfinished_video_stay(keeper):
    kept = FOX - {STITCH["fox"]}
    keeper.store.forget(STITCH["fox"])
    keeper.tidy(kept)
    assert {PLAN.tasks[key].stage for key in keeper.store.keys()} == {"decode", "audio_decode"}


def test_it_looks_again_after_a_pause_and_only_when_an_output_was_made(keeper, clock):
    keeper.tidy(FOX)
    keeper.note(next(key for key, task in PLAN.tasks.items() if task.name == "owl text_encode"))
    clock.advance(1000.0)
    assert not keeper.is_due()
    keeper.tidy(set())
    keeper.note(STITCH["owl"])
    assert keeper.is_due()
    keeper.tidy(FOX)
    keeper.note(STITCH["owl"])
    clock.advance(keeping.MIN_PAUSE_S - 1.0)
    assert not keeper.is_due()
    clock.advance(1.0)
    assert keeper.is_due()


def test_with_keep_all_nothing_ever_goes(keeper):
    every = Keeper(keeper.layout, keeper.store, PLAN, "all", made=set(FOX), record=keeper.record)
    every.note(STITCH["fox"])
    assert not every.is_due()
    every.tidy(FOX)
    assert keeper.store.keys() == FOX and said == []
