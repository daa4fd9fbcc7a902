"""Renders in a thread: each video as it is finished, and async; whoever stops listening stops them."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from ltx_ray import api
from ltx_ray.errors import RunIncomplete, RunLocked
from ltx_ray.spec.events import Failure
from ltx_ray.store.layout import RunLayout
from ltx_ray.store.lock import RunLock
from ltx_ray.worker import inline

MANIFEST = """
model: testcard
defaults: {width: 128, height: 128, num_frames: 9, preset: draft}
videos: [{id: a, prompt: fox}, {id: b, prompt: owl}, {id: c, prompt: cat}]
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "m.yaml").write_text(MANIFEST)
    options = api.RenderOptions(run_dir=tmp_path / "runs/m", inline=True)
    return api.load_manifest(tmp_path / "m.yaml"), options


def renders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "render"]


def test_each_video_comes_once_with_a_file_and_in_a_later_render_at_once(run):
    found = list(api.render_videos(*run))
    assert sorted(video.id for video in found) == ["a", "b", "c"]
    assert all(video.file.stat().st_size and isinstance(video.file, Path) for video in found)
    assert [video.id for video in api.render_videos(*run)] == ["a", "b", "c"]
    assert renders() == []


def test_who_leaves_the_loop_stops_the_render_and_a_later_one_makes_the_rest(run):
    for video in api.render_videos(*run):
        first = video.id
        break
    assert renders() == []
    status = api.status(run[1].run_dir)
    done = {video.id for video in status.videos if video.is_finished}
    assert first in done and status.state != "rendering"
    assert api.render(*run).num_cached > 0
    assert api.status(run[1].run_dir).state == "finished"


def test_what_the_render_raises_comes_out_of_the_loop(run):
    folder = run[1].run_dir
    folder.mkdir(parents=True)
    with RunLock(RunLayout(folder).lock), pytest.raises(RunLocked):
        list(api.render_videos(*run))
    assert renders() == []


def test_a_video_that_cannot_be_made_is_an_error_after_the_others(run, monkeypatch):
    attempt = inline.attempt

    def fail_b(task, *rest):
        if not task.unit.startswith("b"):
            return attempt(task, *rest)
        return Failure("ValueError", "no", "", retryable=False, cause="stage")

    monkeypatch.setattr(inline, "attempt", fail_b)
    found = []
    with pytest.raises(RunIncomplete):
        for video in api.render_videos(*run):
            found.append(video.id)
    assert found and "b" not in found


def test_progress_is_told_whenever_it_is_another_one(run):
    told: list[api.Progress] = []
    api.render(*run, api.Progressed(told.append))
    assert len(set(told)) == len(told) > 3
    assert [each.num_done for each in told] == sorted(each.num_done for each in told)
    assert told[-1].num_done == told[-1].num_tasks and told[-1].num_lost == told[-1].num_running == 0


def test_a_program_with_a_loop_goes_on_meanwhile(run):
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    async def main() -> api.Summary:
        ticking = asyncio.create_task(tick())
        summary = await api.render_async(*run)
        ticking.cancel()
        return summary

    assert len(asyncio.run(main()).finished) == 3 and ticks > 3


def test_who_is_cancelled_stops_the_render_and_waits_for_that(run):
    began = threading.Event()

    async def main() -> None:
        rendering = asyncio.create_task(api.render_async(*run, api.Progressed(lambda progress: began.set())))
        while not began.is_set():
            await asyncio.sleep(0.01)
        rendering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await rendering
        assert renders() == []

    asyncio.run(main())
    assert api.status(run[1].run_dir).state in ("stopped", "finished")
