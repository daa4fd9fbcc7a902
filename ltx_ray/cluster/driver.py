"""The loop between the engine and the workers: it translates, the engine decides.

Order of writes: an artifact and its key file are durable before a worker says Done; the journal line is durable before
anything that follows from it is dispatched. Knows no Ray: the pool may be actors or this very process.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from ltx_ray.engine.instructions import CancelAttempt, Dispatch, GiveUp, Instruction, JournalEntry, Kill, Retire
from ltx_ray.engine.state import RunState
from ltx_ray.errors import StoreError
from ltx_ray.spec.events import CancelRequested, Event, StoreFailed, TaskCancelled, Tick
from ltx_ray.spec.protocols import Pool
from ltx_ray.spec.records import Record
from ltx_ray.spec.redact import told

#: How long one turn waits for something to happen; also how stale a progress table may be.
TURN_S = 0.25
#: After a stop signal, running attempts get this long to reach their next step.
STOP_GRACE_S = 3.0
#: A turn that took longer (this process was stopped, or its disk was): workers are heard for a while before they are
#: judged by the time that has passed.
STALL_S, HEAR_S = 30.0, 5.0

_log = logging.getLogger(__name__)

Recorder = Callable[[Sequence[Record]], None]


class StopSignals:
    """Signals as facts to ask for: the first stops every task at its next step, a second one waits for none.

    SIGHUP, by which a terminal that closes ends what runs in it, is like SIGTERM; but it comes twice, from the shell
    and from the system, and nobody is impatient.
    """

    INTERRUPTED, TERMINATED = 130, 143  #: exit codes

    def __init__(self) -> None:
        self.num_signals = 0
        self.is_terminated = False
        self._is_hung_up = False

    @property
    def is_set(self) -> bool:
        return self.num_signals > 0

    @property
    def at_once(self) -> bool:
        return self.num_signals > 1

    @property
    def exit_code(self) -> int:
        return self.TERMINATED if self.is_terminated else self.INTERRUPTED

    def ask(self) -> None:
        """As a first signal does, but from inside the program."""
        self.num_signals = max(self.num_signals, 1)

    @contextmanager
    def installed(self) -> Iterator[StopSignals]:
        """Handle these signals inside the block, and give them back after it.

        Python delivers signals to the main thread alone; in any other the block changes nothing. A SIGHUP that is
        ignored stays ignored: that is what ``nohup`` is for. After one that was obeyed, those that the same terminal
        still sends do not kill the process.
        """
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        before = {number: signal.signal(number, self._note) for number in numbers}
        try:
            yield self
        finally:
            if self._is_hung_up and before[signal.SIGHUP] == signal.SIG_DFL:
                before[signal.SIGHUP] = signal.SIG_IGN
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._is_hung_up = True
            self.ask()
        else:
            self.num_signals += 1
        self.is_terminated |= number != signal.SIGINT


def drive(
    state: RunState,
    pool: Pool,
    *,
    record: Recorder,
    signals: StopSignals,
    on_turn: Callable[[RunState], None],
    requests: Callable[[], Sequence[Event]] = lambda: (),
) -> None:
    """Run until the state is finished, or until a stop signal has been obeyed.

    ``requests`` is asked every turn for events that come from people, such as TasksCancelled.

    Raises:
        StoreError: ``record``, ``requests`` or ``on_turn`` raised it; nothing was dispatched from then on, nothing
            recorded, and what ran came to its end before.
    """
    desk = _Desk(state, record)
    try:
        pool.start()
        asked_at: float | None = None
        turned_at = judge_at = time.monotonic()
        while not state.finished:
            if (now := time.monotonic()) - turned_at > STALL_S:
                judge_at = now + HEAR_S
            turned_at = now
            if signals.is_set and asked_at is None:
                asked_at = time.monotonic()
                events: list[Event] = [CancelRequested(asked_at, now=True)]
            elif signals.at_once or (asked_at is not None and time.monotonic() - asked_at > STOP_GRACE_S):
                break
            else:
                events = [*desk.asked(requests), *pool.events(TURN_S)]
                if (now := time.monotonic()) >= judge_at:
                    events.append(Tick(now))
            for instruction in desk.turn(events):
                _obey(instruction, state, pool)
            desk.show(on_turn)
            if (story := state.stuck) is not None:
                raise RuntimeError(story)
    finally:
        pool.stop()
    if desk.fault is not None:
        raise desk.fault


class _Desk:
    """What goes between the state and the run's directory. Once that fails, it is left alone and the state told."""

    def __init__(self, state: RunState, record: Recorder) -> None:
        self._state, self._record = state, record
        self.fault: StoreError | None = None
        self._is_told = False

    def asked(self, requests: Callable[[], Sequence[Event]]) -> Sequence[Event]:
        """What people ask."""
        try:
            return () if self.fault else requests()
        except StoreError as error:
            return [self._failed(error)]

    def turn(self, events: Sequence[Event]) -> list[Instruction]:
        """Everything the events lead to. All records are made durable at once, before anything else may be done."""
        instructions = [instruction for event in events for instruction in self._state.handle(event)]
        records = [entry.record for entry in instructions if isinstance(entry, JournalEntry)]
        try:
            if records and self.fault is None:
                self._record(records)
        except StoreError as error:
            instructions += self._state.handle(self._failed(error))
        if self.fault is None:
            return instructions
        # What is not on record must not begin: the state hears that it ended before it did.
        begun = [instruction for instruction in instructions if isinstance(instruction, Dispatch)]
        for lost in begun:
            cancelled = TaskCancelled(time.monotonic(), lost.task, lost.worker, lost.attempt)
            instructions += self._state.handle(cancelled)
        if self._state.board.running and not self._is_told:  # that may take long, and nothing can be recorded of it
            self._is_told = True
            _log.warning("%s; what runs comes to its end first", told(self.fault))
        return [instruction for instruction in instructions if instruction not in begun]

    def show(self, on_turn: Callable[[RunState], None]) -> None:
        """Let others see the state."""
        try:
            if self.fault is None:
                on_turn(self._state)
        except StoreError as error:
            self.turn([self._failed(error)])

    def _failed(self, error: StoreError) -> StoreFailed:
        self.fault = error
        return StoreFailed(time.monotonic(), told(error))


def _obey(instruction: Instruction, state: RunState, pool: Pool) -> None:
    match instruction:
        case Dispatch(task=key, worker=worker, attempt=attempt):
            pool.submit(state.tasks[key], worker, attempt)
        case CancelAttempt(task=key, worker=worker, attempt=attempt):
            pool.cancel(key, worker, attempt)
        case Retire(worker=worker):
            pool.retire(worker)
        case Kill(worker=worker, cause=cause):
            pool.kill(worker, cause)
        case JournalEntry() | GiveUp():
            pass  # recorded before
