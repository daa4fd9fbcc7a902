"""One task from its parents to its commit, and every way an attempt may end."""

from __future__ import annotations

import errno
from dataclasses import replace
from fractions import Fraction

import av
import pytest
import torch

from ltx_ray.errors import (
    ArtifactCorrupt,
    ArtifactMissing,
    Cancelled,
    MediaError,
    StoreAbsent,
    StoreError,
    StoreUnusable,
)
from ltx_ray.models.catalog import BUILT_IN
from ltx_ray.models.load import Loaded
from ltx_ray.plan.graph import build_plan
from ltx_ray.spec.events import Done, Failure
from ltx_ray.spec.model import one_digest
from ltx_ray.spec.recipe import ClipSoundRecipe
from ltx_ray.spec.task import Parent, Task
from ltx_ray.store.key_file import Meta
from ltx_ray.store.layout import object_name
from ltx_ray.store.open import open_store
from ltx_ray.worker import execute as worker
from tests.unit.plan.examples import SCENE, manifest, video

LOADED = Loaded(BUILT_IN)


def execute(task, store, control):
    return worker.execute(task, store, control, LOADED)


def attempt(task, store, control):
    return worker.attempt(task, store, control, LOADED)


class Steps:
    """Counts steps; stops at ``stop_at``."""

    def __init__(self, stop_at=None):
        self.seen, self.stop_at = [], stop_at

    def alive(self, *, is_loading=False):
        pass

    def step(self, step_idx, num_steps):
        self.seen.append((step_idx, num_steps))
        if step_idx == self.stop_at:
            raise Cancelled


def raising(error):
    """A function of any arguments that raises."""

    def fail(*args, **kwargs):
        raise error

    return fail


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "store")


def tasks_of(**changes):
    """By name, in order, of one tiny test card of 9 frames."""
    small = video("fox", model="testcard", width=128, height=128, seconds=Fraction(9, 24), **changes)
    return {task.name: task for task in build_plan(manifest(small), BUILT_IN).tasks.values()}


def test_a_plan_executed_in_order_leaves_every_artifact_bound(store):
    tasks = tasks_of()
    for task in tasks.values():
        done = execute(task, store, Steps())
        bound = store.lookup(task.key)
        assert (bound.digest, bound.num_bytes) == (done.digest, done.num_bytes)
        assert bound.meta.stage == task.stage and bound.meta.parents == task.parents
    assert store.verify() == []


def test_a_kept_artifact_is_not_made_again(store):
    task = tasks_of()["fox text_encode"]
    first = execute(task, store, Steps())
    again = execute(task, store, Steps())
    assert again == Done(task.key, first.digest, first.num_bytes)


def test_every_step_is_reported(store):
    tasks, steps = tasks_of(), Steps()
    execute(tasks["fox text_encode"], store, steps)
    execute(tasks["fox/segment 0 generate"], store, steps)
    assert steps.seen == [(0, 2), (1, 2)]


def test_an_attempt_that_is_asked_to_stop_ends_with_none_and_commits_nothing(store):
    tasks = tasks_of()
    execute(tasks["fox text_encode"], store, Steps())
    generate = tasks["fox/segment 0 generate"]
    assert attempt(generate, store, Steps(stop_at=1)) is None
    assert store.lookup(generate.key) is None


def test_a_missing_parent_is_a_failure_with_its_place_and_traceback(store):
    failure = attempt(tasks_of()["fox/segment 0 generate"], store, Steps())
    assert isinstance(failure, Failure)
    assert failure.kind == "ArtifactMissing"
    assert "in parents" not in failure.message and "execute" in failure.traceback


def test_an_unknown_model_is_a_failure_that_no_retry_helps(store):
    task = tasks_of()["fox text_encode"]
    task = replace(task, recipe=replace(task.recipe, weights=one_digest("no-such-model")))
    failure = attempt(task, store, Steps())
    assert (failure.kind, failure.retryable) == ("ModelError", False)
    assert "not on this machine; there are testcard" in failure.message


def test_latents_of_another_size_are_a_failure(store):
    tasks = tasks_of()
    for name in ("fox text_encode", "fox/segment 0 generate", "fox/segment 0 upscale"):
        execute(tasks[name], store, Steps())
    refine = tasks["fox/segment 0 refine"]
    wrong = replace(refine, key="0" * 64, recipe=replace(refine.recipe, width_px=192))
    failure = attempt(wrong, store, Steps())
    assert failure.kind == "ValueError" and "latent of shape" in failure.message


def test_takes_are_joined_with_their_sounds_end_to_end(store):
    from ltx_ray.media.probe import describe

    scenes = (replace(SCENE, seconds=Fraction(1, 2)), replace(SCENE, seconds=Fraction(1, 2), cut=True, prompt="b"))
    film = video("film", model="testcard", width=128, height=128, scenes=scenes, frame_rate=Fraction(24000, 1001))
    tasks = list(build_plan(manifest(film), BUILT_IN).tasks.values())
    for task in tasks:
        execute(task, store, Steps())
    with store.local_path(tasks[-1].key) as path:
        found = describe(path)
    assert found.video.num_frames == 24
    assert found.audio.num_samples == 24 * 1001 * 2


def test_a_full_disk_under_a_stage_is_the_storages_failure_not_the_tasks(store, monkeypatch):
    tasks = tasks_of()
    for name in ("fox text_encode", "fox/segment 0 generate", "fox/segment 0 upscale", "fox/segment 0 refine"):
        execute(tasks[name], store, Steps())

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ltx_ray.stages.audio_decode.write_wav", full)
    failure = attempt(tasks["fox audio_decode"], store, Steps())
    assert (failure.kind, failure.retryable) == ("StoreUnusable", False)
    assert failure.message.startswith("fox audio_decode: no space left on the device")


def test_a_full_disk_under_an_encoder_is_the_storages_failure(store, monkeypatch):
    tasks = tasks_of()
    for name in ("fox text_encode", "fox/segment 0 generate", "fox/segment 0 upscale", "fox/segment 0 refine"):
        execute(tasks[name], store, Steps())
    monkeypatch.setattr("ltx_ray.media.write.av.open", raising(av.error.OSError(errno.ENOSPC, "No space left")))
    failure = attempt(tasks["fox/window 0 decode"], store, Steps())
    assert (failure.kind, failure.retryable) == ("StoreUnusable", False)
    assert "no space left on the device; free some space" in failure.message


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "of a library's cache"), FileNotFoundError("a font")])
def test_other_errors_of_the_system_are_the_stages_own(store, monkeypatch, error):
    monkeypatch.setattr("ltx_ray.worker.execute.make", raising(error))
    failure = attempt(tasks_of()["fox text_encode"], store, Steps())
    assert (failure.kind, failure.retryable) == (type(error).__name__, True)


class OutOfMemoryError(RuntimeError):
    """Called like the one of torch, and another."""


@pytest.mark.parametrize(
    ("error", "cause", "retryable"),
    [
        (ValueError("too dark"), "stage", True),
        (MediaError("a codec is missing"), "stage", False),
        (OutOfMemoryError("of patience"), "stage", True),
        (torch.OutOfMemoryError("CUDA out of memory"), "memory", True),
        (ArtifactMissing("ab" * 32, "store"), "input_lost", False),
        (ArtifactCorrupt("ab" * 32, "cd" * 32, "ef" * 32), "input_lost", False),
        (StoreError("stale file handle"), "storage", True),
        (StoreUnusable("no space left"), "storage", False),
        (StoreAbsent("no store is here"), "storage", False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_the_cause_of_a_failure_is_that_of_what_was_raised(store, monkeypatch, error, cause, retryable):
    monkeypatch.setattr("ltx_ray.worker.execute.make", raising(error))
    failure = attempt(tasks_of()["fox text_encode"], store, Steps())
    assert (failure.cause, failure.kind, failure.retryable) == (cause, type(error).__name__, retryable)


def after_patience(error):
    error.is_after_patience = True
    return error


@pytest.mark.parametrize(
    "fault", [after_patience(StoreError("bucket: slow down; try again")), StoreUnusable("bucket: access denied")]
)
def test_what_was_computed_and_cannot_be_stored_is_not_computed_again(store, monkeypatch, fault):
    monkeypatch.setattr(type(store), "commit", raising(fault))
    failure = attempt(tasks_of()["fox text_encode"], store, Steps())
    assert (failure.kind, failure.message, failure.retryable) == ("StoreUnusable", str(fault), False)


def test_an_input_that_a_bucket_does_not_give_for_long_is_the_storages_failure(store, monkeypatch):
    tasks = tasks_of()
    execute(tasks["fox text_encode"], store, Steps())
    monkeypatch.setattr(type(store.shelf), "local", raising(after_patience(StoreError("bucket: HTTP 503; try again"))))
    failure = attempt(tasks["fox/segment 0 generate"], store, Steps())
    assert (failure.kind, failure.retryable) == ("StoreUnusable", False)


def test_a_mount_that_fails_once_is_worth_another_attempt(store, monkeypatch):
    monkeypatch.setattr(type(store), "commit", raising(StoreError("mount: stale file handle; try again")))
    failure = attempt(tasks_of()["fox text_encode"], store, Steps())
    assert (failure.kind, failure.retryable) == ("StoreError", True)


def test_an_input_that_cannot_be_read_for_a_moment_is_worth_another_attempt(store, monkeypatch):
    tasks = tasks_of()
    execute(tasks["fox text_encode"], store, Steps())
    monkeypatch.setattr(type(store.shelf), "local", raising(StoreError("bucket: slow down; try again")))
    failure = attempt(tasks["fox/segment 0 generate"], store, Steps())
    assert (failure.kind, failure.retryable) == ("StoreError", True)


def test_decoding_stops_between_pieces(store):
    tasks = tasks_of()
    for name in ("fox text_encode", "fox/segment 0 generate", "fox/segment 0 upscale", "fox/segment 0 refine"):
        execute(tasks[name], store, Steps())
    assert attempt(tasks["fox/window 0 decode"], store, Steps(stop_at=0)) is None


def test_an_artifact_says_what_bytes_it_was_made_of(store):
    tasks = tasks_of()
    text, generate = tasks["fox text_encode"], tasks["fox/segment 0 generate"]
    for task in (text, generate):
        execute(task, store, Steps())
    assert store.lookup(generate.key).meta.made_of == {text.key: store.lookup(text.key).digest}


def test_a_corrupt_input_is_forgotten_so_that_the_next_render_makes_it(store):
    tasks = tasks_of()
    text, generate = tasks["fox text_encode"], tasks["fox/segment 0 generate"]
    execute(text, store, Steps())
    store.shelf.put(object_name(store.lookup(text.key).digest), bytes(store.lookup(text.key).num_bytes))
    failure = attempt(generate, store, Steps())
    assert (failure.kind, failure.retryable) == ("ArtifactCorrupt", False)
    assert store.lookup(text.key) is None
    execute(text, store, Steps())
    execute(generate, store, Steps())


def test_an_error_about_the_copy_of_a_file_names_the_file(store):
    recipe = ClipSoundRecipe(sample_rate_hz=48_000, num_samples=10)
    store.commit("a" * 64, b"no film", Meta(stage="ingest", unit="fox/source", recipe={}))
    parents = (Parent("file", "a" * 64),)
    task = Task("b" * 64, "audio_decode", "fox/source", recipe, parents, file="/films/holiday.mp4")
    failure = attempt(task, store, Steps())
    assert (failure.kind, failure.retryable) == ("MediaError", False)
    assert failure.message.startswith("/films/holiday.mp4: cannot be read as media")
    assert "objects" not in failure.message
