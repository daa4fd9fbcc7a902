"""A run directory that is moved, deleted or replaced while it is being rendered."""

from __future__ import annotations

import shutil

import pytest

from ltx_ray import api
from ltx_ray.api import RenderOptions
from ltx_ray.errors import StoreUnusable
from tests.chaos.disk import runs


def moved(run):
    run.rename(run.with_name("moved"))


def replaced(run):
    moved(run)
    run.mkdir()


def copied(run):
    moved(run)
    shutil.copytree(run.with_name("moved"), run)


WAYS = {
    "moved": moved,
    "deleted": shutil.rmtree,
    "replaced": replaced,
    "replaced by a copy": copied,
    "journal deleted": lambda run: (run / "journal.jsonl").unlink(),
    "lock deleted": lambda run: (run / "lock").unlink(),
}


@pytest.mark.parametrize("take_away", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("stage", ["text_encode", "stitch"])
def test_it_is_noticed_nothing_is_put_there_and_the_work_is_kept(farm, monkeypatch, take_away, stage):
    shutil.rmtree(farm.run)
    shutil.rmtree(farm.store.shelf.root)
    toy, left = runs.toy, []

    def disturbed(task, store):
        done = toy(task, store)
        if task.stage == stage and not left:
            take_away(farm.run)
            left.append({path.relative_to(farm.run) for path in farm.run.rglob("*")})
        return done

    monkeypatch.setattr(runs, "toy", disturbed)
    with pytest.raises(StoreUnusable, match=f"{farm.run}: this run directory, or .* was moved, deleted or replaced"):
        farm.render()
    assert {path.relative_to(farm.run) for path in farm.run.rglob("*")} <= left[0]
    assert not (farm.run.with_name("moved") / "lock").exists()
    monkeypatch.setattr(runs, "toy", toy)
    before = farm.made.read_text().split()
    assert not set(before) & set(resumed(farm)), "what was committed was computed again"
    assert runs.outcome(farm.run) == farm.first


def resumed(farm):
    """The tasks that the next render makes, where the run lies now."""
    if (moved := farm.run.with_name("moved")).exists():
        shutil.rmtree(farm.run, ignore_errors=True)
        moved.rename(farm.run)
    farm.render()
    return farm.made.read_text().split()


def test_a_folder_of_videos_that_is_deleted_is_made_again(farm, monkeypatch):
    farm.lose(farm.key("stitch", "fox"))
    toy = runs.toy

    def disturbed(task, store):
        shutil.rmtree(farm.run / "videos")
        return toy(task, store)

    monkeypatch.setattr(runs, "toy", disturbed)
    summary = api.render(farm.manifest, RenderOptions(run_dir=farm.run, inline=True))
    assert not summary.failed
    assert (farm.run / "videos/fox.mp4").exists()
