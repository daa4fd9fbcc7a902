"""Long videos from plan to file, task by task, in every way they can be chained, joined and gone on from."""

from __future__ import annotations

import shutil
from dataclasses import replace
from fractions import Fraction

import pytest

from ltx_ray.manifest.schema import Extend, Segment
from ltx_ray.media.read import read_frames, read_samples
from ltx_ray.media.source import read_source
from ltx_ray.models.catalog import BUILT_IN
from ltx_ray.models.load import Loaded
from ltx_ray.models.testcard.proof import prove
from ltx_ray.plan.graph import build_plan
from ltx_ray.store.key_file import Meta
from ltx_ray.store.open import open_store
from ltx_ray.worker.execute import execute
from tests.unit.models.testcard.chain import Silent
from tests.unit.plan.examples import SCENE, manifest, video

RATE = Fraction(24)
SEGMENT = Segment(frames=49, connector=17, overshoot=8)


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "store")


def card(video_id="fox", seconds=3, **options):
    """Two scenes in one take."""
    half = replace(SCENE, seconds=Fraction(seconds, 2), segment=SEGMENT)
    scenes = (half, replace(half, prompt="An owl"))
    return video(video_id, model="testcard", width=128, height=128, scenes=scenes, **options)


def made(plan, store, path):
    for task in plan.tasks.values():
        if task.stage == "ingest":
            with store.scratch() as scratch:
                copy = shutil.copy(plan.files[task.key], scratch / "file")
                store.commit(task.key, copy, Meta(stage="ingest", unit=task.unit, recipe={}))
        else:
            execute(task, store, Silent(), Loaded(BUILT_IN))
    with store.local_path(plan.videos[0].stitch) as file:
        shutil.copy(file, path)
    return path


def proof(path, label):
    return prove(
        read_frames(path), read_samples(path), frame_rate=RATE, width=128, height=128, size=(128, 128), label=label
    )


@pytest.mark.parametrize(
    "options",
    [{}, {"chain": "final"}, {"refine_order": "alternate"}, {"join": "pixels", "crossfade": 4}],
    ids=lambda options: "-".join(map(str, options.values())) or "default",
)
def test_a_long_card_is_one_card_however_it_is_made(store, tmp_path, options):
    plan = build_plan(manifest(card(**options)), BUILT_IN)
    found = proof(made(plan, store, tmp_path / "fox.mp4"), "fox")
    assert found.is_card and found.wrong == () and found.takes_read is None
    assert (found.num_frames, found.beeps.num_right) == (72, 3)


def test_a_card_goes_on_from_a_file_as_the_card_in_it(store, tmp_path):
    owl = made(build_plan(manifest(card("owl")), BUILT_IN), store, tmp_path / "owl.mp4")
    film = card("fox", seconds=4, extend=Extend(path=str(owl), include_source=True))
    plan = build_plan(manifest(film), BUILT_IN, {str(owl): read_source(owl)})
    found = proof(made(plan, store, tmp_path / "fox.mp4"), "owl")
    assert found.is_card and found.wrong == () and found.takes_read is None
    assert (found.num_frames, found.beeps.num_right) == (168, 7)
