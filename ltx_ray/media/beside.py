"""What is made in one thread and used in another: frames are encoded while the next ones are decoded.

A card would wait for every frame's encoder otherwise. The thread that makes the pieces is the caller's, which owns the
device and is the one that is told to stop; the other one ends with the call, however that ends.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np

#: Of pieces that wait to be used: two of 8 frames at 1080p and some more.
MAX_BYTES = 192 * 2**20

_Result = TypeVar("_Result")


class _Abandoned(Exception):
    """Whoever made the pieces makes no more of them, and the call fails with what kept it."""


class _Feed:
    """Pieces between the two threads."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._pieces: deque[np.ndarray] = deque()
        self._num_bytes = 0
        self._changed = threading.Condition()
        self._is_complete = self._is_abandoned = self._is_left = False

    def put(self, piece: np.ndarray) -> bool:
        """Hand a piece over, once there is room; False = nobody takes it any more. One piece always has room."""
        with self._changed:
            while self._pieces and self._num_bytes + piece.nbytes > self._max_bytes and not self._is_left:
                self._changed.wait()
            if self._is_left:
                return False
            self._pieces.append(piece)
            self._num_bytes += piece.nbytes
            self._changed.notify_all()
        return True

    def end(self, *, is_abandoned: bool) -> None:
        """There are no more pieces: all were handed over, or they are of no use."""
        with self._changed:
            self._is_complete, self._is_abandoned = True, is_abandoned
            self._changed.notify_all()

    def leave(self) -> None:
        """No more pieces are taken."""
        with self._changed:
            self._is_left = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[np.ndarray]:
        while True:
            with self._changed:
                while not (self._pieces or self._is_complete):
                    self._changed.wait()
                if self._is_abandoned:
                    raise _Abandoned
                if not self._pieces:
                    return
                piece = self._pieces.popleft()
                self._num_bytes -= piece.nbytes
                self._changed.notify_all()
            yield piece


def beside(
    use: Callable[[Iterable[np.ndarray]], _Result], pieces: Iterable[np.ndarray], *, max_bytes: int = MAX_BYTES
) -> _Result:
    """``use(pieces)`` in a thread of its own, while this one makes the pieces; at most ``max_bytes`` of them wait.

    What either side raises is raised here, when both have ended; where both do, what making the pieces raised.
    """
    feed = _Feed(max_bytes)
    results: list[_Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(use(feed))
        except _Abandoned:
            pass
        except BaseException as error:  # it is raised in the thread that asked
            errors.append(error)
        finally:
            feed.leave()

    thread = threading.Thread(target=run, name="beside", daemon=True)
    thread.start()
    is_abandoned = True
    try:
        for piece in pieces:
            if not feed.put(piece):
                break
        is_abandoned = False
    finally:
        feed.end(is_abandoned=is_abandoned)
        thread.join()
    if errors:
        raise errors[0]
    return results[0]
