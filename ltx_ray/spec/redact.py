"""Taking secrets out of text that is kept or shown: messages, tracebacks and log lines.

What counts as one: what stands before the @ in a URI, signatures and keys in its query, and the values of environment
variables whose names say that they are secret. Text around them stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

HIDDEN = "***"

_NAMES = r"[\w.-]*(?:secret|token|password|passwd|credential|signature|api_?key|access_?key|private_?key)[\w.-]*"
#: A password may hold slashes, as the secret keys of S3 do; a number and a slash are a port and a path.
_USER_INFO = re.compile(r"(?<=://)(?:[^/\s'\"]+|[^/@:\s'\"]*:(?!\d+/)[^\s'\"]+)(?=@)")
_QUERY = re.compile(rf"(?<=[?&])({_NAMES}|sig)=[^&\s'\"]+", re.IGNORECASE)
_VARIABLE = re.compile(_NAMES, re.IGNORECASE)
#: Shorter values would hide ordinary words.
_MIN_CHARS = 8


def redact(text: str, environ: Mapping[str, str]) -> str:
    """``text`` with every secret replaced by ``***``."""
    text = _QUERY.sub(rf"\1={HIDDEN}", _USER_INFO.sub(HIDDEN, text))
    values = {value for name, value in environ.items() if len(value) >= _MIN_CHARS and _VARIABLE.fullmatch(name)}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return text
