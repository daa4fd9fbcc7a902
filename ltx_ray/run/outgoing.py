"""What goes out of a run while it renders: files to where they are wanted, and word to who asked for it.

Both go in threads of their own, so that no render waits for a bucket or a receiver. The thread of the render takes what
they came to at every turn and records it: nobody else writes the journal.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ltx_ray.errors import LtxRayError, StoreError
from ltx_ray.run.notify import Notifier
from ltx_ray.run.sending import Sender
from ltx_ray.spec.redact import told

if TYPE_CHECKING:
    from ltx_ray.cluster.driver import StopSignals
    from ltx_ray.plan.dag import PlannedVideo
    from ltx_ray.run.dry import DryRun
    from ltx_ray.run.summary import Observer, Summary
    from ltx_ray.run.webhook import Webhook
    from ltx_ray.spec.records import Record
    from ltx_ray.store.journal import Journal
    from ltx_ray.store.layout import RunLayout

#: How long the end of a render waits for a receiver, and one that was cut off.
NOTIFY_S, CUT_OFF_S = 30.0, 5.0
#: How often is looked whether what went out arrived, once nothing else is left to do.
LOOK_S = 0.1

_log = logging.getLogger(__name__)


class Outgoing:
    """Open over all rounds of a render. A block that ends by an error is the end of the render, and is told as such."""

    def __init__(
        self, layout: RunLayout, journal: Journal, dry: DryRun, observer: Observer, webhook: Webhook | None
    ) -> None:
        """Prove every place that files will be sent to.

        Raises:
            StoreError: one of them refuses.
        """
        self._layout, self._journal, self._observer = layout, journal, observer
        history = journal.history.records
        self._sender = Sender(layout, dry.plan.videos, history)
        self._sender.prove(is_work_left=bool(dry.needed))
        self._notifier = None if webhook is None else Notifier(layout.path, webhook, history)
        #: When the render began: tells its end from that of another.
        self.began = datetime.now(UTC).isoformat()

    def in_place(self, video: PlannedVideo, digest: str, num_bytes: int) -> None:
        """A file is in ``videos/``."""
        if video.to is None or self._sender.has(video, digest, num_bytes):
            self._finished(video, digest, num_bytes)
        else:
            self._sender.send(video, digest, num_bytes)

    def given_up(self, dry: DryRun, lost: Mapping[str, str]) -> None:
        """Tasks failed for good: key -> why."""
        if self._notifier is not None:
            for video, why in _videos_lost(dry, lost):
                self._notifier.failed(video, why)

    def turn(self) -> None:
        """Record what arrived. Raises StoreError if the journal fails."""
        for parcel, record in self._sender.take_sent():
            self._record(record)
            self._finished(*parcel)
        for fault in self._sender.take_faults():
            _log.warning("%s; the render goes on, and it is tried again", fault)
        if self._notifier is not None:
            self._record(*self._notifier.take_notified())

    def end(self, summary: Summary, signals: StopSignals) -> Summary:
        """Wait until every file has arrived that can, unless the render was stopped."""
        if summary.stopped is None:
            self._sender.last_call()
            while not self._sender.errands.wait(LOOK_S) and not signals.is_set:
                self.turn()
        self.turn()
        left = self._sender.stop()
        if left and summary.stopped is None and signals.is_set:
            summary = replace(summary, stopped=signals.exit_code)
        if self._notifier is not None:
            for (video, digest, num_bytes), why in left:
                if why:
                    self._notifier.not_sent(video, self._layout.videos / video.path, digest, num_bytes, why)
        return replace(summary, not_sent={parcel.video.id: why or "it was not tried" for parcel, why in left})

    def tell_end(self, summary: Summary, signals: StopSignals) -> Summary:
        """Tell that the render is over, and wait for a while until all that was told is acknowledged."""
        counts = {
            "finished": len(summary.finished),
            "unfinished": len(summary.unfinished),
            "failed": len(summary.failed),
            "not_sent": len(summary.not_sent),
        }
        limit_s = NOTIFY_S if summary.stopped is None else CUT_OFF_S
        unheard = self._tell_end(summary.error(), lambda: signals.is_set, limit_s, **counts)
        return replace(summary, unheard=unheard)

    def _tell_end(
        self, error: BaseException | None, is_stopped: Callable[[], bool], limit_s: float, **counts: int
    ) -> str | None:
        """What is to be said of messages that were not acknowledged; None = there are none.

        Once nothing else is left to do, a journal that fails is no reason to be silent.
        """
        if (notifier := self._notifier) is None:
            return None
        exit_code, why = _ending(error)
        notifier.ended(self.began, exit_code, why, **counts)
        with suppress(StoreError):
            self._record(*notifier.owed(self._journal.history.records))
        notifier.errands.hurry(limit_s)
        until = time.monotonic() + limit_s
        while not notifier.errands.wait(LOOK_S) and not is_stopped() and time.monotonic() < until:
            with suppress(StoreError):
                self.turn()
        left = notifier.errands.stop()
        with suppress(StoreError):
            self.turn()
        if not left:
            return None
        messages = "1 message was" if len(left) == 1 else f"{len(left)} messages were"
        fault = next((fault for _, fault in left if fault), "no answer has come")
        host = notifier.webhook.host
        return f"{host}: {messages} not acknowledged, {fault}; the next render with --notify tries again"

    def _finished(self, video: PlannedVideo, digest: str, num_bytes: int) -> None:
        if self._notifier is not None:
            self._notifier.finished(video, self._layout.videos / video.path, digest, num_bytes)

    def _record(self, *records: Record) -> None:
        if records:
            self._journal.append(*records)
        for record in records:
            self._observer.record(record)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sender.stop()
        if error is not None and (unheard := self._tell_end(error, lambda: False, CUT_OFF_S)):
            _log.warning("%s", unheard)


def _ending(error: BaseException | None) -> tuple[int, str | None]:
    """Exit code of a command that ends so, and why; None = it is done."""
    match error:
        case None:
            return 0, None
        case LtxRayError():
            return error.exit_code, told(error)
        case KeyboardInterrupt():
            return 130, "it was interrupted"
    return 1, f"{type(error).__name__}, which is a bug in ltx-ray"


def _videos_lost(dry: DryRun, lost: Mapping[str, str]) -> list[tuple[PlannedVideo, str]]:
    """The videos that will not be finished without these tasks, each with the first reason."""
    why: dict[str, str] = {}
    if dry.needed.isdisjoint(lost):
        return []
    for key, task in dry.plan.tasks.items():
        if key not in dry.needed:
            continue
        if key in lost:
            why[key] = f"{task.name}: {lost[key]}"
        elif by := next((parent.key for parent in task.parents if parent.key in why), None):
            why[key] = why[by]
    return [(video, why[video.stitch]) for video in dry.plan.videos if video.stitch in why]
