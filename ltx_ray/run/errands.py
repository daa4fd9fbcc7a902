"""Errands that are run beside a render, in a thread of their own: whoever gives one waits for none.

An errand that fails is tried again behind the others. When all that are left have failed in a row there is a pause,
which doubles. Nothing is recorded or shown here: the thread of the render takes what was done, and records that.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
#: How long one that runs is waited for when nobody wants it any more.
STOP_S = 0.5


class Errands(Generic[T]):
    """``run`` answers with what went wrong, in words; None = the errand is done. Whatever it raises is a bug."""

    def __init__(self, run: Callable[[T], str | None], *, name: str) -> None:
        self._run = run
        self._changed = threading.Condition()
        #: Each with what went wrong last, "" = it was not tried; the first one runs.
        self._waiting: deque[tuple[T, str]] = deque()
        self._done: list[T] = []
        self._left: list[tuple[T, str]] = []
        self._num_failed = 0  #: in a row
        self._pause_s = FIRST_PAUSE_S
        self._retry_until: float | None = None  #: None = for ever
        self._is_hurried = self._is_over = False
        self._bug: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def add(self, errand: T) -> None:
        """Have it run when its turn comes."""
        with self._changed:
            self._waiting.append((errand, ""))
            self._changed.notify_all()
            if self._thread.ident is None and not self._is_over:
                self._thread.start()

    def take_done(self) -> list[T]:
        """What was done since this was asked last."""
        with self._changed:
            if self._bug is not None:
                raise self._bug
            done, self._done = self._done, []
            return done

    def waiting(self) -> list[T]:
        """What is not done yet."""
        with self._changed:
            return [errand for errand, _ in (*self._left, *self._waiting)]

    def hurry(self, retry_s: float) -> None:
        """Try at once what has failed, and from ``retry_s`` on from now no more than once again."""
        with self._changed:
            self._retry_until = time.monotonic() + retry_s
            self._num_failed, self._pause_s, self._is_hurried = 0, FIRST_PAUSE_S, True
            self._changed.notify_all()

    def wait(self, timeout_s: float) -> bool:
        """Whether nothing is left to run, at the latest after so long."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting or self._bug is not None, timeout_s)

    def stop(self) -> list[tuple[T, str]]:
        """Run nothing more; what is not done, each with what went wrong last, "" = it was not tried."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(STOP_S)
        with self._changed:
            return [*self._left, *self._waiting]

    def _work(self) -> None:
        try:
            while (errand := self._next()) is not None:
                self._note(errand, self._run(errand))
        except BaseException as bug:  # raised to whoever takes what was done
            with self._changed:
                self._bug = bug
                self._changed.notify_all()

    def _next(self) -> T | None:
        """The errand whose turn it is; None = it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self._waiting)
            if self._waiting and self._num_failed >= len(self._waiting):
                self._changed.wait_for(lambda: self._is_over or self._is_hurried, self._pause_s)
                self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
                self._num_failed = 0
            self._is_hurried = False
            return None if self._is_over else self._waiting[0][0]

    def _note(self, errand: T, fault: str | None) -> None:
        with self._changed:
            self._waiting.popleft()
            if fault is None:
                self._done.append(errand)
                self._num_failed, self._pause_s = 0, FIRST_PAUSE_S
            else:
                self._num_failed += 1
                is_tried_again = self._retry_until is None or time.monotonic() < self._retry_until
                (self._waiting if is_tried_again else self._left).append((errand, fault))
            self._changed.notify_all()
