"""Stopping a live render, or a video of it, from another terminal: how it is asked, and how the render obeys.

A cancel is for one render. The next one makes what this one left out.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ltx_ray.errors import PlanError, StoreError
from ltx_ray.plan.reasons import only_for
from ltx_ray.spec.events import Event, TasksCancelled
from ltx_ray.spec.records import Record, VideoCancelled
from ltx_ray.store import requests

if TYPE_CHECKING:
    from ltx_ray.plan.dag import Plan
    from ltx_ray.run.record import Run
    from ltx_ray.store.layout import RunLayout

#: A render looks for requests so often at most.
POLL_S = 0.2
#: Who asks waits so long for the render to hear of it; one that starts Ray hears nothing meanwhile.
HEARD_S = 10.0


class Requests:
    """What people ask of the render that holds the run's lock."""

    def __init__(
        self,
        layout: RunLayout,
        plan: Plan,
        kept: frozenset[str],
        *,
        stop: Callable[[], None],
        record: Callable[[Sequence[Record]], None],
    ) -> None:
        self.layout, self.plan, self.kept, self.stop, self.record = layout, plan, kept, stop, record
        self.videos: set[str] = set()
        #: Tasks that nobody wants any more.
        self.tasks: frozenset[str] = frozenset()
        self._is_news = False
        self._looked_at = 0.0

    def look(self) -> None:
        """Read what was asked since; a run that should stop is told so at once."""
        now = time.monotonic()
        if now - self._looked_at < POLL_S:
            return
        self._looked_at = now
        asked = [request.video for request in requests.take(self.layout)]
        known = {video.id for video in self.plan.videos} - self.videos
        fresh = [video for video in dict.fromkeys(asked) if video in known]
        if None in asked:
            self.stop()
        if fresh:
            self.videos.update(video for video in fresh if video is not None)
            self.tasks = only_for(self.plan, self.kept, self.videos)
            self.record([VideoCancelled(at=now, video=video) for video in fresh if video is not None])
            self._is_news = True

    def events(self) -> list[Event]:
        """What the engine should hear of; asked every turn."""
        self.look()
        if not self._is_news:
            return []
        self._is_news = False
        return [TasksCancelled(time.monotonic(), self.tasks)]


@dataclass(frozen=True, slots=True)
class Asked:
    holder: str  #: who renders
    is_heard: bool  #: it has read the request


def ask_to_stop(run: Run, video: str | None, *, wait_s: float = HEARD_S) -> Asked:
    """Ask the render of this run to stop, or to leave out a video, and wait until it has heard.

    Raises:
        PlanError: nothing renders it, it has no such video, or the video is finished.
    """
    if run.holder is None or not run.is_live:
        raise PlanError(f"{run.layout.path}: nothing renders it now, so there is nothing to cancel")
    if video is not None:
        _check_video(run, video)
    request = requests.ask(run.layout, video)
    until = time.monotonic() + wait_s
    while request.path.exists() and time.monotonic() < until:
        time.sleep(POLL_S / 4)
    owner = run.holder.owner
    name = f"process {owner.pid} on {owner.host}" if owner else "an unknown process"
    return Asked(name, not request.path.exists())


def _check_video(run: Run, asked: str) -> None:
    found = next((video for video in run.videos if video.id == asked), None)
    if found is None:
        near = difflib.get_close_matches(asked, [video.id for video in run.videos], n=3)
        nearest = f"nearest {'are' if len(near) > 1 else 'is'} {', '.join(near)}"
        rest = nearest if near else "`ltx-ray status` lists them"
        raise PlanError(f"{run.layout.path}: no video is called {asked!r}; {rest}")
    kept: Collection[str] = ()
    with suppress(StoreError):  # whoever renders must hear of it, also when its store is gone or does not answer
        kept = run.store.known([found.stitch])
    if run.is_finished(found, kept):
        raise PlanError(f"{run.layout.path}: video {asked!r} is finished, so there is nothing to cancel")
