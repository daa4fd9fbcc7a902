"""Names of files as this session can give them to the system."""

from __future__ import annotations

import os
import sys


def why_unnameable(path: str) -> str | None:
    """The end of a sentence about a path that no file can have here; None = one can.

    A manifest is UTF-8 everywhere; under an ASCII or Latin locale, with Python's UTF-8 mode off, names are not.
    """
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        sign = ascii(path[error.start])
        return (
            f"has {sign}, and here names of files are written in {sys.getfilesystemencoding()}; "
            "set PYTHONUTF8=1 or a UTF-8 locale, or use letters that it has"
        )
    return None
