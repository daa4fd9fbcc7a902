"""Long videos from plan to file, task by task, in every way they can be chained, joined and gone on from."""

from __future__ import annotations

import shutil
from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from safetensors.torch import load_file, save

from ltx_ray.manifest.schema import Extend, Segment
from ltx_ray.media.read import read_frames, read_samples
from ltx_ray.media.source import read_source
from ltx_ray.models.catalog import BUILT_IN
from ltx_ray.models.load import Loaded
from ltx_ray.models.testcard.denoise import CardDenoiser
from ltx_ray.models.testcard.proof import prove
from ltx_ray.plan.conditions import Provided
from ltx_ray.plan.connectors import connector
from ltx_ray.plan.graph import build_plan
from ltx_ray.spec.conditions import Hold
from ltx_ray.spec.piece import Piece
from ltx_ray.spec.source import GivenFacts
from ltx_ray.spec.task import Parent
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


def test_what_a_provider_gives_reaches_the_model_through_its_mask(store, monkeypatch):
    """A still held at the end of a segment, but for its lower half; picture alone."""
    still, mask = torch.zeros(1, 416, 1, 2, 2), torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    given, shown = {"a" * 64: {"video": still}, "b" * 64: {"mask": mask}}, []
    for key, tensors in given.items():
        store.commit(key, save(tensors), Meta(stage="condition", unit="fox", recipe={}))

    def provide(planned, segment_idx, stage):
        if stage == "generate":
            hold = Hold(modality="video", piece=Piece(0, 1), start=2, has_mask=True)
            yield Provided(hold, "a" * 64, mask="b" * 64)

    class Watching(CardDenoiser):
        def velocity(self, video, *rest):
            shown.append(video)
            return super().velocity(video, *rest)

    monkeypatch.setattr("ltx_ray.models.testcard.model.CardDenoiser", Watching)
    monkeypatch.setattr("ltx_ray.plan.chain.PROVIDERS", (connector, provide))
    film = video("fox", model="testcard", width=128, height=128, seconds=Fraction(17, 24))
    plan = build_plan(manifest(film), BUILT_IN)
    tasks = {task.name: task for task in plan.tasks.values()}
    generate = tasks["fox/segment 0 generate"]
    assert generate.parents[1:] == (Parent("condition", "a" * 64), Parent("mask", "b" * 64))
    execute(tasks["fox text_encode"], store, Silent(), Loaded(BUILT_IN))
    execute(generate, store, Silent(), Loaded(BUILT_IN))
    assert shown[0].denoise_mask[0, :, 0].tolist() == [1.0] * 8 + [0.0, 0.0, 1.0, 1.0]
    with store.local_path(generate.key) as path:
        assert not load_file(path)["video"][0, :, 2, 0].any(), "pinned at the still's zeros"


def test_a_card_goes_on_from_a_file_as_the_card_in_it(store, tmp_path):
    owl = made(build_plan(manifest(card("owl")), BUILT_IN), store, tmp_path / "owl.mp4")
    film = card("fox", seconds=4, extend=Extend(path=str(owl), include_source=True))
    plan = build_plan(manifest(film), BUILT_IN, GivenFacts(films={str(owl): read_source(owl)}))
    found = proof(made(plan, store, tmp_path / "fox.mp4"), "owl")
    assert found.is_card and found.wrong == () and found.takes_read is None
    assert (found.num_frames, found.beeps.num_right) == (168, 7)
