"""The loop between the engine and the workers: it translates, the engine decides.

Order of writes: an artifact and its key file are durable before a worker says Done; the journal line is durable before
anything that follows from it is dispatched. Knows no Ray: the pool may be actors or this very process.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ltx_ray.engine.instructions import CancelAttempt, Dispatch, GiveUp, JournalEntry, Retire
from ltx_ray.engine.state import RunState
from ltx_ray.spec.events import CancelRequested, Event, Tick
from ltx_ray.spec.protocols import Pool

#: How long one turn waits for something to happen; also how stale a progress table may be.
TURN_S = 0.25
#: After "stop at once", running attempts get this long to reach their next step.
STOP_GRACE_S = 3.0

Record = Callable[[Sequence[Mapping[str, Any]]], None]


class StopSignals:
    """SIGINT and SIGTERM as facts to ask for: the first Ctrl-C drains, the second, or SIGTERM, stops at once."""

    INTERRUPTED, TERMINATED = 130, 143  #: exit codes

    def __init__(self) -> None:
        self.num_interrupts = 0
        self.is_terminated = False

    @property
    def is_set(self) -> bool:
        return self.is_terminated or self.num_interrupts > 0

    @property
    def at_once(self) -> bool:
        return self.is_terminated or self.num_interrupts > 1

    @property
    def exit_code(self) -> int:
        return self.TERMINATED if self.is_terminated else self.INTERRUPTED

    @contextmanager
    def installed(self) -> Iterator[StopSignals]:
        """Handle both signals inside the block, and give them back after it.

        Python delivers signals to the main thread alone; in any other the block changes nothing.
        """
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGTERM:
            self.is_terminated = True
        else:
            self.num_interrupts += 1


def drive(
    state: RunState,
    pool: Pool,
    *,
    record: Record,
    signals: StopSignals,
    on_turn: Callable[[RunState], None],
) -> None:
    """Run until the state is finished, or until a stop signal has been obeyed."""
    try:
        pool.start()
        asked_at: float | None = None
        is_asked = False
        while not state.finished:
            now = time.monotonic()
            events: list[Event] = []
            if signals.is_set and not is_asked:
                is_asked = True
                events.append(CancelRequested(now))
            if signals.at_once and asked_at is None:
                asked_at = now
                events.append(CancelRequested(now, now=True))
            if asked_at is not None and now - asked_at > STOP_GRACE_S:
                return
            _turn(state, pool, events or [*pool.events(TURN_S), Tick(time.monotonic())], record)
            on_turn(state)
            if (story := state.stuck) is not None:
                raise RuntimeError(story)
    finally:
        pool.stop()


def _turn(state: RunState, pool: Pool, events: list[Event], record: Record) -> None:
    """Everything the events lead to. All records of a turn are made durable at once, before anything is done."""
    instructions = [instruction for event in events for instruction in state.handle(event)]
    if records := [dict(entry.fields) for entry in instructions if isinstance(entry, JournalEntry)]:
        record(records)
    for instruction in instructions:
        match instruction:
            case Dispatch(task=key, worker=worker, attempt=attempt):
                pool.submit(state.tasks[key], worker, attempt)
            case CancelAttempt(task=key, worker=worker, attempt=attempt):
                pool.cancel(key, worker, attempt)
            case Retire(worker=worker):
                pool.retire(worker)
            case JournalEntry() | GiveUp():
                pass  # recorded above
