"""Standard output that cannot be written, or not in these characters."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from ltx_ray.cli import main as command
from ltx_ray.cli.main import main
from ltx_ray.cli.output import Output, OutputLost, open_streams, outlived


@pytest.fixture
def streams(monkeypatch):
    """Real files as the two streams; what was put in their place is undone."""

    def replace(out, err):
        for name, file in (("stdout", out), ("stderr", err)):
            monkeypatch.setattr(sys, name, file)
        open_streams()

    return replace


@pytest.fixture
def full():
    with open("/dev/full", "w", encoding="utf-8") as file:  # noqa: PTH123 - a device
        yield file


@pytest.fixture
def unread():
    """The writing end of a pipe whose reader went away."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as file:
        yield file


@pytest.fixture
def file(tmp_path):
    with (tmp_path / "out").open("w+", encoding="ascii") as file:
        yield file


def read_back(file):
    file.seek(0)
    return file.read()


def test_a_full_disk_behind_standard_output_is_one_sentence_and_4(streams, full, file):
    streams(full, file)
    assert main(["plan", "--presets"]) == 4
    assert read_back(file) == "ltx-ray: standard output: no space left on device; send it to where it can be written\n"


def test_a_reader_that_went_away_ends_quietly_with_141(streams, unread, file):
    streams(unread, file)
    assert main(["plan", "--presets"]) == 141
    assert read_back(file) == ""


def test_an_error_that_cannot_be_told_keeps_its_code(streams, full, file):
    streams(file, full)
    assert main(["status", "runs/none"]) == 2


def test_nothing_is_written_again_when_the_interpreter_ends(streams, full, file):
    streams(full, file)
    assert main(["plan", "--presets"]) == 4
    sys.stdout.flush()


def test_a_loss_that_is_outlived_is_raised_at_the_end_once(streams, full, unread):
    streams(full, unread)
    lines = []
    with pytest.raises(OutputLost, match="standard output: no space left") as caught, outlived():
        for line in range(3):
            for stream in (sys.stdout, sys.stderr):
                stream.write(f"{line}\n")
                stream.flush()
            lines.append(line)
    assert lines == [0, 1, 2] and caught.value.exit_code == 4
    assert sys.stderr.lost.exit_code == 141


def test_an_error_of_the_work_comes_before_the_loss_of_an_output(streams, full, file):
    streams(full, file)
    with pytest.raises(KeyError), outlived():
        sys.stdout.write("x")
        sys.stdout.flush()
        raise KeyError


def test_after_the_block_a_loss_is_raised_at_once_again(streams, full, file):
    streams(file, full)
    with outlived():
        sys.stdout.write("x")
    with pytest.raises(OutputLost):
        print("x", file=sys.stderr, flush=True)


CLOSED = """
import os, sys
from ltx_ray.cli.output import open_streams
open_streams()
numbers = [os.open("file", os.O_CREAT | os.O_RDWR)]
sys.stdout.write("x"); sys.stdout.flush()
sys.stderr.write("x"); sys.stderr.flush()
os.write(1, b"from a library"), os.write(2, b"from a library")
child = os.spawnv(os.P_WAIT, "/bin/sh", ["sh", "-c", "echo x; echo x >&2; cat; : <&0 >&1 2>&2"])
sys.exit(numbers[0] > 2 and not sys.stdin.read() and not child)
"""


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)], ids=str)
def test_no_file_ever_gets_the_number_of_a_closed_stream(tmp_path, closed):
    def close():
        for fd in closed:
            os.close(fd)

    ran = subprocess.run(
        [sys.executable, "-c", CLOSED],
        cwd=tmp_path,
        preexec_fn=close,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 1, ran.stderr
    assert (tmp_path / "file").read_bytes() == b""
    assert b"Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("latin-1", b"f\xe4hre \\u72d0 \\udc80\n"),
        ("utf-8", b"f\xc3\xa4hre \xe7\x8b\x90 \\udc80\n"),
        ("ascii", b"f\xc3\xa4hre \xe7\x8b\x90 \\udc80\n"),
    ],
)
def test_what_the_encoding_has_no_sign_for_is_escaped(tmp_path, encoding, written):
    with (tmp_path / "out").open("w", encoding=encoding) as file:
        output = Output(file, "standard output")
        output.write("f\u00e4hre \u72d0 \udc80\n")
        output.flush()
    assert (tmp_path / "out").read_bytes() == written


@pytest.mark.parametrize(
    ("how", "written"),
    [({}, ""), ({"line_buffering": True}, "one\n"), ({"write_through": True}, "one\ntwo")],
    ids=["whole blocks", "lines", "nothing"],
)
def test_a_stream_is_buffered_as_it_was(file, how, written):
    file.reconfigure(**how)
    output = Output(file, "standard error")
    output.write("one\n")
    output.write("two")
    assert read_back(file) == written


@pytest.mark.parametrize(("options", "out"), [((), b""), (("-u",), b"made")])
def test_what_was_said_before_a_sudden_end_is_in_the_file_as_python_has_it(tmp_path, options, out):
    code = (
        "import os, sys; from ltx_ray.cli.output import open_streams; open_streams()\n"
        "sys.stdout.write('made'); sys.stderr.write('warning\\n'); os._exit(0)"
    )
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with (tmp_path / "out").open("wb") as said, (tmp_path / "err").open("wb") as warned:
        subprocess.run([sys.executable, *options, "-c", code], stdout=said, stderr=warned, env=env, check=True)
    assert (tmp_path / "out").read_bytes() == out
    assert (tmp_path / "err").read_bytes() == b"warning\n"


@pytest.mark.parametrize("buffering", ["line_buffering", "write_through"])
def test_a_fault_is_seen_however_the_stream_is_buffered(full, buffering):
    full.reconfigure(**{buffering: True})
    with pytest.raises(OutputLost, match="no space left"):
        Output(full, "standard error").write("x\n")


def test_a_lost_stream_writes_nothing_where_its_number_is_used_again(tmp_path):
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123 - a device
        output, number = Output(full, "standard error"), full.fileno()
        output.write("x")
        with pytest.raises(OutputLost):
            output.flush()
    with (tmp_path / "out").open("wb") as other:
        assert other.fileno() == number
        output.close()
    assert (tmp_path / "out").read_bytes() == b""


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_the_encoding_does_not_hide_a_fault(streams, file, encoding):
    with open("/dev/full", "w", encoding=encoding) as full:  # noqa: PTH123 - a device
        streams(full, file)
        assert main(["plan", "--presets"]) == 4


def test_a_fault_of_another_file_is_not_taken_for_one_of_the_output(streams, file, monkeypatch):
    def app(arguments, *, standalone_mode):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(command, "app", app)
    streams(file, file)
    assert main(["plan"]) == 1


def test_a_lost_output_is_no_oserror(full):
    output = Output(full, "standard error")
    output.write("x")
    with pytest.raises(OutputLost, match="standard error: no space left on device") as caught:
        output.flush()
    assert not isinstance(caught.value, OSError)
