"""What a failure says when it leaves its process."""

from __future__ import annotations

import pytest

from ltx_ray.spec.events import LINE_CHARS, LOG_LINES, MESSAGE_CHARS, TRACEBACK_CHARS, Failure

ENVIRON = {"FARM_API_TOKEN": "tok-12345678"}
SECRETS = ("tok-12345678", "s3://me:hunter2@farm/x")


def failure(message, traceback=""):
    return Failure("ValueError", message, traceback, cause="stage")


def test_no_secret_is_in_any_of_its_words():
    said = f"{SECRETS[0]} at {SECRETS[1]}"
    told = failure(said, f"Traceback: {said}").told(ENVIRON, [f"opening {said}"])
    assert told.message == "*** at s3://***@farm/x"
    assert told.traceback == "Traceback: *** at s3://***@farm/x"
    assert told.log == ("opening *** at s3://***@farm/x",)
    assert (told.kind, told.cause, told.retryable) == ("ValueError", "stage", True)


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_that_lies_across_a_cut_is_not_left_in_half(secret):
    for shift in range(len(secret) + 1):
        head = "x" * (MESSAGE_CHARS - shift - 1) + " "
        tail = " " + "x" * (TRACEBACK_CHARS - shift - 1)
        line = "x" * (LINE_CHARS - shift - 1) + " "
        told = failure(head + secret + "y" * 50, "y" * 50 + " " + secret + tail).told(ENVIRON, [line + secret])
        words = told.message + told.traceback + "".join(told.log)
        for part in ("tok-", "5678", "hunter", "unter2"):
            assert part not in words


def test_it_is_cut_to_a_bearable_length_and_keeps_what_tells_most():
    lines = [f"line {idx} " + "x" * 9000 for idx in range(LOG_LINES + 20)]
    told = failure("no: " + "x" * 10**7, "x" * 10**7 + "the end").told({}, lines)
    assert len(told.message) == MESSAGE_CHARS and told.message.startswith("no: ")
    assert len(told.traceback) == TRACEBACK_CHARS and told.traceback.endswith("the end")
    assert len(told.log) == LOG_LINES and told.log[-1].startswith(f"line {LOG_LINES + 19} ")
    assert {len(line) for line in told.log} == {LINE_CHARS}
