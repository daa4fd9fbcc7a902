"""Opens a manifest wherever it is, and says in a sentence why it cannot be read.

A source is a local path, an fsspec URI or ``-`` for standard input; one that ends in ``.gz`` is unpacked as it is read.
Sizes are bounded before anything is parsed.
"""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path, PurePosixPath
from typing import IO, cast

from ltx_ray.manifest.problems import nearest, refuse

#: A YAML or JSON file is held in memory whole; rows are read one by one.
MAX_FILE_BYTES = 16 * 2**20

FORMATS = {
    ".yaml": "yaml",
    ".yml": "yaml",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
}


def name_of(source: str) -> str:
    """What problems call the file: its last name."""
    return "standard input" if source == "-" else PurePosixPath(source).name or source


def format_of(source: str) -> str:
    """Which reader a source needs, by its suffix; standard input is JSONL."""
    if source == "-":
        return "jsonl"
    suffix = PurePosixPath(_unpacked(source)).suffix.lower()
    if suffix not in FORMATS:
        ends = f"{', '.join(FORMATS)}, and .gz after it"
        raise refuse(name_of(source), f"is not a kind of file that is read; it can end in {ends}")
    return FORMATS[suffix]


def stem_of(source: str) -> str:
    """``films`` of ``a/films.jsonl.gz``; "" of what has no name."""
    return PurePosixPath(_unpacked(source)).stem


def _unpacked(source: str) -> str:
    return source[: -len(".gz")] if source.lower().endswith(".gz") else source


@contextmanager
def opened(source: str) -> Iterator[IO[bytes]]:
    """The bytes of a source, open for reading.

    Raises:
        ManifestError: it is not there, or may not be read.
    """
    with _open(source) if source != "-" else nullcontext(sys.stdin.buffer) as file:
        try:
            yield cast(IO[bytes], gzip.GzipFile(fileobj=file)) if _unpacked(source) != source else file
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise refuse(name_of(source), f"is not gzip, or the file is cut short: {_cause(error)}") from error
        except OSError as error:
            raise refuse(name_of(source), f"cannot be read: {_cause(error)}") from error


def read_text(source: str) -> str:
    """The whole of a source as UTF-8 text, without a byte order mark."""
    with opened(source) as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise refuse(name_of(source), f"is larger than {MAX_FILE_BYTES // 2**20} MiB; write its videos as JSONL rows")
    return decoded(content, name_of(source), first_line=1)


def decoded(content: bytes, name: str, *, first_line: int) -> str:
    """UTF-8 text without a byte order mark; ``first_line`` is the number of its first line in the file."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise refuse(name, "is UTF-16 text; save it as UTF-8, which Excel calls `CSV UTF-8`")
    try:
        return content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = first_line + content.count(b"\n", 0, error.start)
        raise refuse(f"{name}: line {line}", f"byte 0x{content[error.start]:02x} is not UTF-8 text") from None


def _open(source: str) -> IO[bytes]:
    try:
        if "://" not in source:
            return Path(source).open("rb")
        import fsspec

        file: IO[bytes] = fsspec.open(source, "rb").open()
        return file
    except FileNotFoundError:
        raise refuse(name_of(source), _missing(source)) from None
    except (OSError, ValueError, ImportError) as error:
        raise refuse(name_of(source), f"cannot be opened: {_cause(error)}") from error


def _missing(source: str) -> str:
    """Sentence about a file that is not there, with its likeliest neighbour."""
    folder = Path(source).parent
    if "://" in source or not folder.is_dir():
        return f"no such file: {source}"
    neighbours = [path.name for path in folder.iterdir() if Path(_unpacked(path.name)).suffix.lower() in FORMATS]
    return f"no such file in {folder}; {nearest(Path(source).name, sorted(neighbours)[:1000])}"


def _cause(error: BaseException) -> str:
    """The reason of the system, in its own words, on one line."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:300].rstrip(".") or type(error).__name__
