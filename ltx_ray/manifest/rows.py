"""Files whose rows are videos: JSONL, CSV with dotted columns, Parquet. Read one by one, never held whole.

What programs write that people make tables with means what it means there: Excel's semicolons, tabs, ``sep=`` and empty
rows, the floats and NaN of pandas, the decimals of databases. A row in which nothing is given is none.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import chain
from typing import IO, Any, NamedTuple

from ltx_ray.errors import ManifestError
from ltx_ray.manifest.cells import value_of
from ltx_ray.manifest.fields import Wrong
from ltx_ray.manifest.files import decoded
from ltx_ray.manifest.keys import VIDEO
from ltx_ray.manifest.problems import refuse, shown

MAX_LINE_BYTES = 2**20
MAX_ROWS = 1_000_000


class Row(NamedTuple):
    """``where`` is ``line 4`` or ``row 4``, counted from 1; ``raw`` is what stands there, or why it is unreadable."""

    where: str
    raw: object | ManifestError


def read_rows(file: IO[bytes], kind: str, *, name: str) -> Iterator[Row]:
    """Every row of a file of ``kind`` jsonl, csv or parquet.

    Raises:
        ManifestError: the file as a whole cannot be read; one bad row is yielded with its error instead.
    """
    reader = {"jsonl": _jsonl, "csv": _csv, "parquet": _parquet}[kind]
    for count, row in enumerate(reader(file, name)):
        if count >= MAX_ROWS:
            raise refuse(name, f"has more than {MAX_ROWS:,} rows; split it into several runs")
        yield row


def parse_json(text: str, where: str) -> object:
    """A JSON value; duplicate keys, bad syntax and bottomless nesting are refused."""
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        place = f"{where}: line {error.lineno}" if "\n" in text.strip() else where
        what = error.msg.removesuffix(" at")
        raise refuse(place, f"is not JSON, or the file is cut short: {what} at column {error.colno}") from None
    except RecursionError:
        raise refuse(where, "is nested too deep") from None
    except Wrong as wrong:
        raise refuse(where, str(wrong)) from None
    except ValueError:
        raise refuse(where, "has a number of thousands of digits") from None


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise Wrong(f"the key {shown(twice)} is given twice; keep one of them")
    return mapping


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def _jsonl(file: IO[bytes], name: str) -> Iterator[Row]:
    for line_idx, line in enumerate(_lines(file, name), 1):
        if line.isspace():
            continue
        where = f"line {line_idx}"
        try:
            raw = parse_json(decoded(line, name, first_line=line_idx), f"{name}: {where}")
        except ManifestError as error:
            yield Row(where, error)
            continue
        if not isinstance(raw, dict):
            yield Row(where, raw)
        elif _says_anything(given := _given(raw)) or not raw:
            yield Row(where, given)


def _lines(file: IO[bytes], name: str) -> Iterator[bytes]:
    line_idx = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        line_idx += 1
        if len(line) > MAX_LINE_BYTES:
            raise refuse(f"{name}: line {line_idx}", f"is longer than {MAX_LINE_BYTES} bytes; put one video on a line")
        yield line


def _given(raw: dict[str, object]) -> dict[str, object]:
    """Without the nulls that tables write for "not given"; only a group's null, ``refine: null``, says something."""
    if _AS_MEANT.issuperset(map(type, raw.values())):
        return raw
    plain = {key: _plain(value) for key, value in raw.items()}
    return {key: value for key, value in plain.items() if value is not None or key in VIDEO.nulls}


#: Types whose values need no second look.
_AS_MEANT = frozenset({str, int, bool})


def _says_anything(row: dict[str, object]) -> bool:
    return any(value is not None for value in row.values())


def _csv(file: IO[bytes], name: str) -> Iterator[Row]:
    lines = (decoded(line, name, first_line=line_idx) for line_idx, line in enumerate(_lines(file, name), 1))
    first = next(lines, "")
    is_told = (told := _SEP.fullmatch(first)) is not None
    if is_told:
        first = next(lines, "")
    delimiter = told[1] if told else _delimiter(first)
    reader = csv.reader(chain([first], lines), strict=True, delimiter=delimiter)
    try:
        header = [column.strip() for column in next(reader, [])]
        while header and not header[-1]:
            header.pop()
        if len(set(header)) != len(header) or not all(header):
            what = "a column has no name, or the name of another; name each once, and write tables without their index"
            raise refuse(f"{name}: line {1 + is_told}", what)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield _csv_row(header, cells, f"line {reader.line_num + is_told}", name, delimiter)
    except csv.Error as error:
        where = f"{name}: line {reader.line_num + is_told}"
        raise refuse(where, f"is not CSV, or the file is cut short: {error}") from None


#: What Excel writes, and reads, in front of the header.
_SEP = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)
_DELIMITERS = ",;\t"
#: Where a semicolon stands between cells, the comma stands before decimals.
_COMMA = re.compile(r"\s*([-+]?[0-9]+),([0-9]+)\s*")


def _delimiter(header: str) -> str:
    """What stands between the cells: whatever makes keys of most columns, else a comma."""

    def num_keys(delimiter: str) -> int:
        columns = next(csv.reader([header], delimiter=delimiter), [])
        return sum(column.strip().partition(".")[0] in VIDEO.names for column in columns)

    return max(_DELIMITERS, key=num_keys)


def _csv_row(header: list[str], cells: list[str], where: str, name: str, delimiter: str) -> Row:
    extra = [cell for cell in cells[len(header) :] if cell.strip()]
    if extra:
        what = f"has {len(cells)} cells for {len(header)} columns; quote cells with {_NAMES[delimiter]}"
        return Row(where, refuse(f"{name}: {where}", what))
    given = {key: cell for key, cell in zip(header, cells, strict=False) if cell.strip()}
    return Row(where, _given({key: _cell(key, cell, delimiter) for key, cell in given.items()}))


_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs"}


def _cell(key: str, cell: str, delimiter: str) -> object:
    if delimiter == ";" and not VIDEO.text_of(key):
        cell = _COMMA.sub(r"\1.\2", cell) if _COMMA.fullmatch(cell) else cell
    return value_of(key, cell)


def _parquet(file: IO[bytes], name: str) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    row_idx = 0
    try:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=1024):
            for raw in batch.to_pylist():
                row_idx += 1
                columns = {key: _column(key, value) for key, value in raw.items()}
                if given := _without_nulls(columns):
                    yield Row(f"row {row_idx}", given)
    except (pa.ArrowException, OSError) as error:
        raise refuse(name, f"is not Parquet, or the file is cut short: {' '.join(str(error).split())[:200]}") from None


def _column(key: str, value: object) -> object:
    """A value of a column, which may have been made a column of text."""
    return value_of(key, value) if isinstance(value, str) else value


def _without_nulls(value: Any) -> Any:
    """As it was meant, and without nulls: a struct has all fields in every row."""
    if isinstance(value, dict):
        plain = {key: _without_nulls(inner) for key, inner in value.items()}
        return {key: inner for key, inner in plain.items() if inner is not None} or None
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else _plain(value)


def _plain(value: object) -> object:
    """As it was meant: a column with gaps is all floats, whatever was put into it, and its gaps are NaN."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, Decimal):
        value = float(value)
    if not isinstance(value, float):
        return value
    if math.isnan(value):
        return None
    return int(value) if value.is_integer() else value
