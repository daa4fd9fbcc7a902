"""What a service of storage said about a fault, whichever client reports it.

Clients wrap an answer in errors of their own, often in an OSError with a bare errno. What they share: an exception
somewhere in the chain of causes holds a status of HTTP, and mostly a code and a message of the service. Only code and
message leave this file's callers: in one line, of bounded length, without control characters and without secrets. What
an answer means is decided in ``faults``.
"""

from __future__ import annotations

import email.utils
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from ltx_ray.spec.redact import redact

_MAX_CHARS = 300
_MAX_CODE_CHARS = 60
_PHRASES = {status.phrase: status.value for status in HTTPStatus if status >= HTTPStatus.BAD_REQUEST}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is no success; ``code`` and ``message`` are the service's, empty where it gave none."""

    status: int
    code: str
    message: str
    retry_after_s: float | None = None

    @property
    def is_bare(self) -> bool:
        """Whether it says no more than its status, as answers to HEAD do."""
        return not self.code and (not self.message or self.message in _PHRASES)


def answer_of(error: BaseException) -> Answer | None:
    """The outermost answer in the chain of ``error``; ``None`` if no service spoke."""
    for link in _chain(error):
        if answer := _of_botocore(link) or _of_fields(link) or _of_text(link):
            return answer
    return None


def words_of(error: BaseException) -> str:
    """What an error without an answer says, or at least what it is."""
    return str(error) or type(error).__name__


def clean(text: str, secrets: Mapping[str, str]) -> str:
    """``text`` as it may be shown: one line of at most 300 characters, all printable, with secrets hidden."""
    printable = "".join(char if char.isprintable() else " " for char in redact(text, secrets))
    line = " ".join(printable.split())
    return line if len(line) <= _MAX_CHARS else f"{line[: _MAX_CHARS - 3].rstrip()}..."


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes; where no cause is named, what was being handled."""
    seen = set[int]()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _of_botocore(error: BaseException) -> Answer | None:
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        return None
    said, about = response.get("Error", {}), response.get("ResponseMetadata", {})
    # An answer without a body has its status for a code.
    code = str(said.get("Code", ""))
    status = about.get("HTTPStatusCode") or (int(code) if code.isdigit() else 400)
    headers = about.get("HTTPHeaders", {})
    return _answer(status, "" if code.isdigit() else code, said.get("Message", ""), headers)


def _of_fields(error: BaseException) -> Answer | None:
    """Of clients whose errors have attributes: Google's, Azure's, aiohttp, requests."""
    if type(error).__module__ == "aiohttp.http_exceptions":
        return None  # the number is its own verdict on an answer that was cut off or is no HTTP
    response = getattr(error, "response", None)
    named = ((holder, name) for holder in (error, response) for name in ("status_code", "status", "code"))
    status = next((number for holder, name in named if (number := _number(getattr(holder, name, None)))), None)
    if status is None:
        return None
    message = getattr(error, "message", None) or getattr(error, "reason", None) or str(error)
    headers = getattr(error, "headers", None) or getattr(response, "headers", None) or {}
    text = message.decode(errors="replace") if isinstance(message, bytes) else str(message)
    return _answer(status, _code(error), text.removesuffix(f", {status}"), headers)  # gcsfs adds the number


def _of_text(error: BaseException) -> Answer | None:
    """Of clients that put all into one text: phrase of the status, address, and words in lines of their own."""
    text = str(error.args[0]) if len(error.args) == 1 else ""
    phrase, colon, rest = text.partition(": ")
    if not colon or phrase not in _PHRASES:
        return None
    _, _, words = rest.partition("\n")
    return Answer(_PHRASES[phrase], "", words.strip() or phrase)


def _answer(status: int, code: str, message: object, headers: Any) -> Answer:
    return Answer(status, code[:_MAX_CODE_CHARS], str(message or "").strip(), _retry_after_s(headers))


def _number(value: object) -> int | None:
    text = str(int(value)) if isinstance(value, int) else str(value)
    return int(text) if text.isdecimal() and 300 <= int(text) < 600 else None


def _code(error: BaseException) -> str:
    """The service's own code: an attribute at Azure, the reason of the first of several errors at Google."""
    if code := getattr(error, "error_code", None):
        return str(getattr(code, "value", code))
    body = getattr(error, "_error_response", None)  # where gcsfs leaves it
    errors = body.get("errors") if isinstance(body, dict) else None
    first = errors[0] if isinstance(errors, list) and errors else None
    return str(first.get("reason", "")) if isinstance(first, dict) else ""


def _retry_after_s(headers: Any) -> float | None:
    """Seconds from now, from either form of the header; ``None`` if there is none that can be read."""
    if not isinstance(headers, Mapping):
        return None
    value = next((str(value) for name, value in headers.items() if str(name).lower() == "retry-after"), "")
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
