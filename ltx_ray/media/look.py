"""Reading files in a child process first, because a file can end the process that reads it.

FFmpeg is C, and PyAV too: a file that is damaged, hostile or only unusual can make them access memory that is not
theirs, never come back, or ask for more memory than there is. A ``Looker`` has one child for any number of files, and
a new one after a death. What happens to the child is a MediaError about the file. The child takes MEMORY_BYTES at most
(where the system keeps count: Linux), must show that it reads on every STALL_S, and ends with its parent.

Neither side of this file loads a media library; what is to be done with a file is a function that the child imports.
"""

from __future__ import annotations

import os
import pickle
import resource
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import TypeVar, cast

from ltx_ray.errors import MediaError
from ltx_ray.media.beat import ON_BEAT

#: 8K pictures need most of a GiB; see ``media.open.MAX_PIXELS``.
MEMORY_BYTES = 3 << 29
#: A file that is read on shows it at every packet. Nothing takes this long for one, on a slow disk either.
STALL_S = 60.0
_BEAT_EVERY_S = 0.2
#: A library of linear algebra takes 41 MB for every thread it may start, one per core, as it is loaded; reading needs
#: none of them, and on a machine of many cores they alone would be more than MEMORY_BYTES.
_ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")

Found = TypeVar("Found")


class Looker:
    """Calls functions of a path in a child process."""

    def __init__(self, *, memory_bytes: int = MEMORY_BYTES, stall_s: float = STALL_S) -> None:
        self.stall_s = stall_s
        self._memory_bytes = memory_bytes
        self._child: _Child | None = None

    def __enter__(self) -> Looker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def look(self, read: Callable[[Path], Found], path: Path) -> Found:
        """What ``read(path)`` returns; both it and its result must survive pickling.

        Raises:
            MediaError: ``read`` raised it or an OSError, or the file ended or stopped the child or exceeds its memory.
        """
        child = self._running()
        try:
            child.ask(read, path)
            answer = child.answer(self.stall_s)
        except TimeoutError:
            self._end()
            raise MediaError(f"{path}: reading it makes no step for {self.stall_s:g} s; {_remedy(path)}") from None
        except (EOFError, OSError):
            raise self._death(path) from None
        if isinstance(answer, MediaError):
            raise answer
        return cast(Found, answer)

    def _running(self) -> _Child:
        if self._child is None or not self._child.is_alive:
            self._end()
            self._child = _Child(self._memory_bytes)
        return self._child

    def _death(self, path: Path) -> Exception:
        """What the child died of, which is the file's fault if a signal ended it."""
        assert self._child is not None
        code, said = self._child.death()
        self._end()
        if code >= 0:
            return RuntimeError(f"the process that looks at {path} ended with {code}: {said}")
        killed = signal.Signals(-code).name
        return MediaError(f"{path}: reading it crashes the media library (signal {killed}); {_remedy(path)}")

    def _end(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


def _remedy(path: Path) -> str:
    return f"convert it first: `ffmpeg -i {shlex.quote(str(path))} -c:v libx264 -crf 12 -c:a flac -ac 2 film.mkv`"


class _Child:
    def __init__(self, memory_bytes: int) -> None:
        ours, theirs = Pipe()
        self._connection, self._said = ours, tempfile.TemporaryFile()
        start = f"from ltx_ray.media.look import serve; serve({theirs.fileno()}, {memory_bytes})"
        with theirs:
            self._process = subprocess.Popen(
                # -P: a module in the folder where the user stands is none of ours.
                [sys.executable, "-P", "-c", start],
                env={**os.environ, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
            )

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, read: Callable[[Path], object], path: Path) -> None:
        self._connection.send_bytes(pickle.dumps((read, path)))

    def answer(self, stall_s: float) -> object:
        """Raises TimeoutError without a sign of life, EOFError or OSError if the child is gone."""
        while self._connection.poll(stall_s):
            if message := self._connection.recv_bytes():
                return pickle.loads(message)
        raise TimeoutError

    def death(self) -> tuple[int, str]:
        """The exit code, below 0 for a signal, and the last words."""
        code = self._process.wait()
        self._said.seek(0)
        return code, self._said.read().decode(errors="replace").strip()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._connection.close()
        self._said.close()


def serve(fd: int, memory_bytes: int) -> None:
    """The child's whole life: answer what is asked over ``fd`` until nobody is there to ask."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches the whole group; the parent ends its child
    connection = Connection(fd)
    asked: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(connection, asked), daemon=True).start()
    _limit_memory(memory_bytes)
    ON_BEAT.set(_Beat(connection))
    while True:
        read, path = pickle.loads(asked.get())
        connection.send_bytes(pickle.dumps(_answer(read, path)))


def _listen(connection: Connection, asked: SimpleQueue[bytes]) -> None:
    """Take questions, and end the process when its parent is gone, whatever else it is doing."""
    try:
        while True:
            asked.put(connection.recv_bytes())
    except (EOFError, OSError):
        os._exit(0)


def _answer(read: Callable[[Path], object], path: Path) -> object:
    try:
        return read(path)
    except MediaError as error:
        return error
    except OSError as error:
        return MediaError(
            f"{path}: cannot be read ({error.strerror or error}); check its path, its permissions and its disk"
        )
    except (MemoryError, RecursionError) as error:
        what = "more memory than it may take" if isinstance(error, MemoryError) else "too deep a nesting"
        return MediaError(f"{path}: reading it needs {what}; {_remedy(path)}")


def _limit_memory(memory_bytes: int) -> None:
    """All memory that may be written to counts, used or not: also the stack of every thread."""
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    if most == resource.RLIM_INFINITY or most > memory_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class _Beat:
    """Says that the child reads on, a few times a second at most."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._last_s = connection, 0.0

    def __call__(self) -> None:
        now_s = time.monotonic()
        if now_s - self._last_s > _BEAT_EVERY_S:
            self._last_s = now_s
            self._connection.send_bytes(b"")
