"""A render in a thread of its own, for programs that do something else meanwhile: video by video, or async.

Whoever stops listening stops the render, at the next step of its tasks; the next render goes on. Signals are the
program's own business then: Python gives them to the main thread alone.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltx_ray.errors import PlanError, StoreError
from ltx_ray.run.summary import Observer, Summary
from ltx_ray.spec.records import Published

if TYPE_CHECKING:
    from asyncio import Future

    from ltx_ray.engine.state import RunState
    from ltx_ray.plan.dag import PlannedVideo
    from ltx_ray.run.dry import DryRun
    from ltx_ray.spec.records import Record

#: A render that was not yet asked to stop, because it had not begun, is asked again after so long.
ASK_AGAIN_S = 0.3

Render = Callable[[Observer], Summary]


@dataclass(frozen=True, slots=True)
class FinishedVideo:
    """A video whose file is in its place."""

    id: str
    file: Path
    plan: PlannedVideo


def finished_videos(render: Render, stop: Callable[[], object], observer: Observer) -> Iterator[FinishedVideo]:
    """Each video when it is finished, first those that were before. Ends with the render, or with its error.

    Args:
        render: renders, and tells an Observer; it runs in another thread, and so does ``observer``.
        stop: asks it to stop.

    Raises:
        LtxRayError: what ``render`` raised, or how it ended if that is not well.
    """
    happened: queue.SimpleQueue[FinishedVideo | Summary | BaseException] = queue.SimpleQueue()
    watcher = _Watcher(observer, happened.put)

    def run() -> None:
        try:
            happened.put(render(watcher))
        except BaseException as error:
            happened.put(error)

    thread = threading.Thread(target=run, name="render")
    thread.start()
    try:
        while isinstance(found := happened.get(), FinishedVideo):
            yield found
    finally:
        _end(thread, stop)
    if isinstance(found, BaseException):
        raise found
    if (error := found.error()) is not None:
        raise error


async def rendered(render: Callable[[], Summary], stop: Callable[[], object]) -> Summary:
    """``render`` in a thread; one who is cancelled stops it and waits until it has stopped."""
    import asyncio

    loop = asyncio.get_running_loop()
    done: Future[Summary] = loop.create_future()

    def tell(summary: Summary | None, error: BaseException | None) -> None:
        if error is not None:
            done.set_exception(error)
        else:
            assert summary is not None
            done.set_result(summary)

    def run() -> None:
        try:
            summary = render()
        except BaseException as error:
            loop.call_soon_threadsafe(tell, None, error)
        else:
            loop.call_soon_threadsafe(tell, summary, None)

    thread = threading.Thread(target=run, name="render")
    thread.start()
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await loop.run_in_executor(None, _end, thread, stop)
        if done.done():
            done.exception()  # it was asked for nothing more
        raise


def _end(thread: threading.Thread, stop: Callable[[], object]) -> None:
    """Wait for a render; ask it to stop until it has."""
    thread.join(0.05)
    while thread.is_alive():
        with suppress(PlanError, StoreError):  # it has not begun, or has just ended
            stop()
        thread.join(ASK_AGAIN_S)


class _Watcher:
    """Passes everything on to another Observer, and tells of finished videos, of each once."""

    def __init__(self, observer: Observer, tell: Callable[[FinishedVideo], Any]) -> None:
        self._observer, self._tell = observer, tell
        self._videos: dict[str, PlannedVideo] = {}
        self._folder = Path()

    def begin(self, dry: DryRun, run_dir: Path) -> None:
        self._observer.begin(dry, run_dir)
        is_first = not self._folder.name
        self._folder = run_dir / "videos"
        if is_first:
            self._videos = {video.id: video for video in dry.plan.videos}
            for video in dry.plan.videos:
                if video.stitch in dry.kept and (self._folder / video.path).exists():
                    self._finish(video.id)

    def record(self, record: Record) -> None:
        self._observer.record(record)
        if isinstance(record, Published):
            self._finish(record.video)

    def turn(self, state: RunState) -> None:
        self._observer.turn(state)

    def _finish(self, id_: str) -> None:
        if (video := self._videos.pop(id_, None)) is not None:
            self._tell(FinishedVideo(id_, self._folder / video.path, video))
