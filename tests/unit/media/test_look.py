"""A child process that looks at files: what it finds comes back, and its death is a sentence about the file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ltx_ray.errors import MediaError
from ltx_ray.media.beat import beat
from ltx_ray.media.look import Looker

FILM = Path("my film.mov")


def process(path):
    return os.getpid(), path


def die(path, number):
    os.kill(os.getpid(), number)


def refuse(path):
    raise MediaError(f"{path}: no")


def stumble(path):
    raise KeyError("our bug")


def read_all(path):
    return path.read_bytes()


def leave(path):
    os._exit(3)


def take(path, num_bytes):
    return np.ones(num_bytes, np.uint8).nbytes


def sink(path):
    return sink(path)


def stall(path):
    while True:
        pass


def read_on(path, seconds):
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        beat()
    return "read"


def variable(path, name):
    return os.environ.get(name)


def num_threads(path):
    np.ones((512, 512)) @ np.ones((512, 512))
    return len([*Path("/proc/self/task").iterdir()])


def loaded(path):
    return {name for name in ("torch", "ray", "av") if name in sys.modules}


@pytest.fixture
def looker():
    with Looker() as looker:
        yield looker


def test_one_child_looks_at_many_files(looker):
    found = [looker.look(process, Path(name)) for name in ("a", "b", "c")]
    assert [path for _, path in found] == [Path("a"), Path("b"), Path("c")]
    assert len({pid for pid, _ in found}) == 1 and found[0][0] != os.getpid()


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL, signal.SIGBUS])
def test_a_file_that_ends_the_child_is_one_sentence_and_the_next_gets_a_new_child(looker, number):
    before, _ = looker.look(process, FILM)
    with pytest.raises(MediaError) as caught:
        looker.look(partial(die, number=number), FILM)
    what = f"my film.mov: reading it crashes the media library (signal {number.name})"
    assert str(caught.value).startswith(f"{what}; convert it first: `ffmpeg -i 'my film.mov' ")
    after, _ = looker.look(process, FILM)
    assert after != before


def test_a_child_that_died_between_two_files_is_replaced(looker):
    pid, _ = looker.look(process, FILM)
    os.kill(pid, signal.SIGKILL)
    while looker._child.is_alive:
        pass
    assert looker.look(process, FILM)[0] != pid


def test_what_is_refused_there_is_refused_here(looker):
    with pytest.raises(MediaError, match=r"^my film\.mov: no$"):
        looker.look(refuse, FILM)
    assert looker.look(process, FILM)


@pytest.mark.parametrize(
    ("path", "reason"),
    [("gone.mov", "No such file or directory"), ("/proc/self/mem", "Input/output error"), ("/", "Is a directory")],
)
def test_a_file_that_the_system_cannot_read_is_one_sentence(looker, path, reason):
    pid, _ = looker.look(process, FILM)
    with pytest.raises(MediaError) as caught:
        looker.look(read_all, Path(path))
    assert str(caught.value) == f"{path}: cannot be read ({reason}); check its path, its permissions and its disk"
    assert looker.look(process, FILM)[0] == pid


@pytest.mark.parametrize(("read", "words"), [(stumble, "KeyError: 'our bug'"), (leave, "ended with 3")])
def test_a_bug_of_ours_stays_one_and_says_where(looker, read, words):
    with pytest.raises(RuntimeError, match=words):
        looker.look(read, FILM)


def test_a_file_that_needs_too_much_memory_does_not_get_it():
    with Looker(memory_bytes=400 << 20) as looker:
        assert looker.look(partial(take, num_bytes=50 << 20), FILM) == 50 << 20
        with pytest.raises(MediaError, match="reading it needs more memory than it may take; convert it first"):
            looker.look(partial(take, num_bytes=600 << 20), FILM)
        assert looker.look(process, FILM)


@pytest.mark.parametrize("name", ["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"])
@pytest.mark.parametrize("given", [None, "64"])
def test_a_machine_of_many_cores_takes_no_memory_from_the_child(looker, monkeypatch, name, given):
    monkeypatch.delenv(name, raising=False)
    if given is not None:
        monkeypatch.setenv(name, given)
    assert looker.look(partial(variable, name=name), FILM) == "1"
    assert os.environ.get(name) == given, "what the user set for this process stays"


def test_linear_algebra_in_the_child_starts_no_thread_per_core(looker):
    assert looker.look(num_threads, FILM) == 2, "the reader and the listener"


def test_a_file_that_is_nested_too_deep_is_one_sentence(looker):
    with pytest.raises(MediaError, match="reading it needs too deep a nesting"):
        looker.look(sink, FILM)


def test_a_file_that_is_not_read_on_is_given_up_and_a_long_one_is_not(looker):
    looker.look(process, FILM)
    looker.stall_s = 0.6  # once the child is there
    assert looker.look(partial(read_on, seconds=1), FILM) == "read"
    with pytest.raises(MediaError, match=r"my film\.mov: reading it makes no step for 0\.6 s; convert it first"):
        looker.look(stall, FILM)


def test_nothing_is_started_for_nothing_and_nothing_stays():
    with Looker() as looker:
        assert looker._child is None
        pid, _ = looker.look(process, FILM)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_neither_side_loads_what_it_does_not_need(looker):
    assert looker.look(loaded, FILM) == set()
    code = "import sys; from ltx_ray.media.look import Looker; print({'av', 'numpy', 'torch', 'ray'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_a_module_where_the_user_stands_is_none_of_the_child_s(looker, tmp_path, monkeypatch):
    (tmp_path / "pickle.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    assert looker.look(process, FILM)


def test_the_child_ends_with_its_parent_even_if_that_is_killed():
    code = (
        "import os, sys; from pathlib import Path; from ltx_ray.media.look import Looker\n"
        "from tests.unit.media.test_look import process, stall\n"
        "looker = Looker(); print(looker.look(process, Path())[0], flush=True); looker.look(stall, Path())"
    )
    # As a child of pytest has it: the functions that are looked with stand in this file.
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=env) as parent:
        child = int(parent.stdout.readline())
        parent.kill()
    begun = time.monotonic()
    while _lives(child) and time.monotonic() - begun < 10:
        pass
    assert not _lives(child)


def _lives(pid):
    """A process that ended and that nobody asks about is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
