from __future__ import annotations

import email.utils
import errno
import json
import time
import urllib.error

import pytest

from ltx_ray.store.answers import Answer, answer_of, clean


def of_botocore(code, words, status, headers=None):
    from botocore.exceptions import ClientError

    about = {"HTTPStatusCode": status, "HTTPHeaders": headers or {}}
    return ClientError({"Error": {"Code": code, "Message": words}, "ResponseMetadata": about}, "PutObject")


def of_gcsfs(status, said, words):
    from gcsfs.retry import validate_response

    body = json.dumps({"error": {"code": status, "message": words, "errors": [{"reason": said}]}}).encode()
    try:
        validate_response(status, body, "b/farm/o")
    except Exception as error:
        return error


def of_aiohttp(status, words):
    from aiohttp import ClientResponseError, RequestInfo
    from multidict import CIMultiDict, CIMultiDictProxy
    from yarl import URL

    nothing = CIMultiDictProxy(CIMultiDict())
    about = RequestInfo(URL("http://x"), "GET", nothing, URL("http://x"))
    return ClientResponseError(about, (), status=status, message=words, headers=CIMultiDict({"Retry-After": "3"}))


class OfAzure(Exception):
    """The attributes of ``azure.core.exceptions.HttpResponseError`` as its blob client raises it."""

    def __init__(self, status, code, words):
        super().__init__(f"{words}\nContent: <xml>")
        self.status_code, self.error_code, self.message, self.reason = status, code, words, "The phrase"


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (of_botocore("ExpiredToken", "It has expired.", 400), Answer(400, "ExpiredToken", "It has expired.")),
        (of_botocore("403", "Forbidden", 403), Answer(403, "", "Forbidden")),
        (of_botocore("SlowDown", "w", 503, {"retry-after": "12"}), Answer(503, "SlowDown", "w", 12.0)),
        (of_gcsfs(401, "authError", "Invalid Credentials"), Answer(401, "authError", "Invalid Credentials")),
        (of_gcsfs(403, "forbidden", "no access for farmer"), Answer(403, "", "no access for farmer")),
        (of_gcsfs(400, "invalid", "an invalid name"), Answer(400, "", "an invalid name")),
        (of_aiohttp(429, "Too Many"), Answer(429, "", "Too Many", 3.0)),
        (OfAzure(403, "AuthorizationFailure", "not yours"), Answer(403, "AuthorizationFailure", "not yours")),
        (OfAzure(503, None, "busy"), Answer(503, "", "busy")),
        (urllib.error.HTTPError("http://x", 507, "Full", {}, None), Answer(507, "", "Full")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_status_code_and_words_are_found_in_the_errors_of_every_client(error, answer):
    assert answer_of(error) == answer


def chained(outer, inner, *, by_cause):
    try:
        try:
            raise inner
        except Exception as error:
            if by_cause:
                raise outer from error
            raise outer  # noqa: B904 - that is the other way
    except Exception as error:
        return error


@pytest.mark.parametrize("by_cause", [True, False])
def test_an_answer_is_found_behind_an_error_that_says_only_an_errno(by_cause):
    error = chained(OSError(errno.EINVAL, "x"), of_botocore("InvalidToken", "malformed", 400), by_cause=by_cause)
    assert answer_of(error) == Answer(400, "InvalidToken", "malformed")


def test_what_was_handled_before_is_no_answer_where_the_chain_is_cut():
    error = chained(OSError("x"), of_botocore("InvalidToken", "malformed", 400), by_cause=False)
    error.__suppress_context__ = True
    assert answer_of(error) is None


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "x"), ConnectionResetError("Gone"), ValueError("Not Found"), KeyError("x")]
)
def test_an_error_of_this_machine_is_no_answer(error):
    assert answer_of(error) is None


def test_a_body_that_is_cut_off_is_no_answer():
    from aiohttp import ClientPayloadError
    from aiohttp.http_exceptions import ContentLengthError

    assert answer_of(chained(ClientPayloadError("cut"), ContentLengthError("cut"), by_cause=True)) is None


def test_a_chain_that_bites_its_tail_ends():
    error = OSError("x")
    error.__context__ = other = OSError("y")
    other.__context__ = error
    assert answer_of(error) is None


@pytest.mark.parametrize(("message", "is_bare"), [("", True), ("Forbidden", True), ("Forbidden for farmers", False)])
def test_an_answer_without_words_is_bare(message, is_bare):
    assert Answer(403, "", message).is_bare is is_bare
    assert not Answer(403, "AccessDenied", message).is_bare


def test_a_moment_to_come_back_becomes_a_wait():
    error = of_botocore("SlowDown", "w", 503, {"Retry-After": email.utils.formatdate(time.time() + 60, usegmt=True)})
    assert 50 < answer_of(error).retry_after_s <= 60
    assert answer_of(of_botocore("SlowDown", "w", 503, {"Retry-After": "soon"})).retry_after_s is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("one\r\ntwo\tthree  four\n", "one two three four"),
        ("\x1b[31mred\x1b[0m \x9b2J\x07", "[31mred [0m 2J"),
        ("\u202egnp.exe\u2066 \u200bx\u2028y", "gnp.exe x y"),
        ("no key AKIAIOSFODNN7EXAMPLE here", "no key *** here"),
        ("Bearer ya29.a0AfH6SMBx was refused", "Bearer *** was refused"),
        (
            "http://h/k?X-Amz-Credential=AK&X-Amz-Signature=abcd&x=1",
            "http://h/k?X-Amz-Credential=***&X-Amz-Signature=***&x=1",
        ),
        ("x-amz-security-token:FwoGZXIvYXdz\nhost:h", "x-amz-security-token:*** host:h"),
        ("the key of farmer-north", "the key of ***"),
    ],
)
def test_words_are_one_harmless_line_without_secrets(text, line):
    assert clean(text, {"secret_key": "farmer-north"}) == line


def test_words_are_bounded():
    assert clean("word " * 1000, {}) == "word " * 59 + "wo..."
    assert clean("x" * 300, {}) == "x" * 300
