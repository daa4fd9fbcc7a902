r"""Places as people write them: a directory of this machine, or the URI of a file system elsewhere.

A slip of the keyboard must not become a directory of that name (``s3:/farm``, ``C:\farm``).
"""

from __future__ import annotations

import re

#: A scheme with a part of its "://" missing. Of a word and a colon alone only kinds of storage are meant.
_ALMOST_URI = re.compile(
    r"([a-z][a-z0-9+.-]+):/|(s3a?|gcs|gs|az|abfss?|https?|hdfs|memory|file)(?::|//)", re.IGNORECASE
)
_NO_BUCKET = re.compile(r"(s3a?|gcs|gs|az|abfss?)://(/|$)", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:")


def is_uri(text: str) -> bool:
    """Whether ``text`` names a place that is not a directory of this machine."""
    return "://" in text and not text.startswith("file://")


def why_no_place(text: str, wanted: str) -> str | None:
    """What is wrong with a place, half a sentence; None = nothing. ``wanted`` says what would be right."""
    if "\0" in text:
        return f"holds a zero byte; name {wanted}"
    if "\\" in text or _DRIVE.match(text):
        return f"is a path of Windows; name {wanted} as this machine sees it"
    if "://" not in text and (almost := _ALMOST_URI.match(text)):
        scheme, rest = almost[1] or almost[2], text[almost.end() :].lstrip("/")
        meant = f"{scheme.lower()}://{'/' if scheme.lower() == 'file' else ''}{rest}"
        return f"is almost a URI; write {meant}, or ./{text} for a directory of this name"
    if text.startswith("file://") and not text.startswith("file:///"):
        return "names another machine; write file:///PATH, or the path alone"
    if found := _NO_BUCKET.match(text):
        return f"names no bucket; write {found[1]}://BUCKET/PATH"
    return None
