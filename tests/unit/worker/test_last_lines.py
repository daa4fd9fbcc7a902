from __future__ import annotations

import io
import sys
from contextlib import suppress

from ltx_ray.spec.events import LINE_CHARS, LOG_LINES, Failure
from ltx_ray.worker.last_lines import LastLines

FAILURE = Failure("ValueError", "no", "Traceback ...", cause="stage")


def test_everything_is_passed_on_and_the_last_lines_are_told():
    said, to = LastLines(), io.StringIO()
    stream = said.stream(to)
    for idx in range(LOG_LINES + 5):
        print("line", idx, file=stream)
    assert said.told(FAILURE).log == tuple(f"line {idx}" for idx in range(5, LOG_LINES + 5))
    assert to.getvalue().count("\n") == LOG_LINES + 5


def test_two_streams_share_their_lines_in_order():
    said = LastLines()
    out, err = said.stream(io.StringIO()), said.stream(io.StringIO())
    print("first", file=out)
    print("second", file=err)
    assert said.told(FAILURE).log == ("first", "second")


def test_a_stream_that_cannot_be_written_is_no_fault_of_the_task():
    said = LastLines()
    with open("/dev/full", "w", encoding="utf-8", buffering=1) as full:  # noqa: PTH123 - a device
        print("heard all the same", file=said.stream(full), flush=True)
        with suppress(OSError):
            full.close()
    assert said.told(FAILURE).log == ("heard all the same",)


def test_without_a_standard_error_nothing_is_heard_and_nothing_breaks(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with LastLines().listening():
        print("x", file=sys.stderr)


def test_of_a_progress_bar_only_what_it_shows_last_is_kept():
    said = LastLines()
    stream = said.stream(io.StringIO())
    for percent in range(0, 101, 10):
        stream.write(f"\r{percent}%")
    stream.write("\nloaded\r\n")
    assert said.told(FAILURE).log == ("100%", "loaded")


def test_endless_lines_are_cut():
    said = LastLines()
    stream = said.stream(io.StringIO())
    for _ in range(1000):
        stream.write("x" * 100)
    stream.write("\n")
    assert said.told(FAILURE).log == ("x" * LINE_CHARS,)


def test_what_was_said_before_is_forgotten_on_request():
    said = LastLines()
    print("old", file=said.stream(io.StringIO()))
    said.clear()
    assert said.told(FAILURE).log == ()


def test_no_secret_is_told(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefgh")
    said = LastLines()
    print("opening s3://id:secret@bucket with hf_abcdefgh", file=said.stream(io.StringIO()))
    told = said.told(Failure("OSError", "s3://id:secret@bucket", "Traceback: hf_abcdefgh", cause="storage"))
    assert told.log == ("opening s3://***@bucket with ***",)
    assert told.message == "s3://***@bucket" and told.traceback == "Traceback: ***"


def test_the_stream_behind_answers_all_else():
    stream = LastLines().stream(io.StringIO("x"))
    assert stream.isatty() is False and stream.read() == "x"
