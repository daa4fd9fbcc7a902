"""Taking secrets out of text that is kept or shown: messages, tracebacks and log lines.

That is done once, where an exception becomes text: ``events.Failure.told`` in the process of a worker, ``told`` in that
of a render, and the command line for what is raised to it. All that is recorded, logged and summed up is made of these.

What counts as one: what stands before the @ in a URI, signatures and keys in its query, the values of environment
variables whose names say that they are secret and not the place of one, and what services of storage repeat of a
request: key ids, tokens, signatures and the text that was signed. Text around them stays as it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

HIDDEN = "***"

_NAMES = r"[\w.-]*(?:secret|token|password|passwd|credential|signature|api_?key|access_?key|private_?key)[\w.-]*"
#: A password may hold slashes, as the secret keys of S3 do; a number and a slash are a port and a path.
_USER_INFO = re.compile(r"(?<=://)(?:[^/\s'\"]+|[^/@:\s'\"]*:(?!\d+/)[^\s'\"]+)(?=@)")
_QUERY = re.compile(rf"(?<=[?&;])({_NAMES}|sig)=[^&\s'\"]+", re.IGNORECASE)
#: Ids of keys of AWS and Google, and tokens after the word that announces them.
_KEY_ID = re.compile(r"\b(?:(?:AKIA|ASIA)[A-Z0-9]{12,}|GOOG[A-Z0-9]{16,})\b|(?<=\bBearer )[\w.~+/=-]{8,}")
_ECHOED = r"(?:x-(?:amz|goog)-[\w-]*(?:token|signature|credential|key)[\w-]*|aws_?access_?key_?id|signature|credential)"
#: Headers and parameters of a request, as they stand in text that was signed.
_HEADER = re.compile(
    rf"\b({_ECHOED}['\"]?\s*[=:]\s*['\"]?|authorization\s*[=:]\s*basic )[^\s,;&'\"<>]{{8,}}", re.IGNORECASE
)
_ELEMENT = re.compile(
    r"<(\w*(?:AccessKeyId|Signature\w*|StringToSign\w*|CanonicalRequest\w*|Token))>[^<]+", re.IGNORECASE
)
#: The address of a webhook may hold a token anywhere.
_VARIABLE = re.compile(rf"{_NAMES}|ltx_ray_notify_url", re.IGNORECASE)
#: Variables that say where a secret lies. The place is needed to mend what is wrong there, and tells nobody the secret.
_PLACE = re.compile(r".*_(?:path|file|dir)|google_application_credentials", re.IGNORECASE)
#: Shorter values would hide ordinary words.
_MIN_CHARS = 8


def redact(text: str, environ: Mapping[str, str]) -> str:
    """``text`` with every secret replaced by ``***``."""
    text = _QUERY.sub(rf"\1={HIDDEN}", _USER_INFO.sub(HIDDEN, text))
    text = _ELEMENT.sub(rf"<\1>{HIDDEN}", _HEADER.sub(rf"\1{HIDDEN}", _KEY_ID.sub(HIDDEN, text)))
    values = {value for name, value in environ.items() if _is_secret(name, value)}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return text


def told(error: Exception) -> str:
    """What an exception says, without the secrets of this process."""
    return redact(str(error), os.environ)


def _is_secret(name: str, value: str) -> bool:
    """Whether a variable holds a secret; one for a place may hold the JSON of a key instead by mistake."""
    if len(value) < _MIN_CHARS or not _VARIABLE.fullmatch(name):
        return False
    return "{" in value or not _PLACE.fullmatch(name)
