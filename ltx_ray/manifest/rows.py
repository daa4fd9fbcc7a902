"""Files whose rows are videos: JSONL, CSV with dotted columns, Parquet. Read one by one, never held whole."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import IO, NamedTuple

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
        yield Row(where, _given(raw) if isinstance(raw, dict) else raw)


def _lines(file: IO[bytes], name: str) -> Iterator[bytes]:
    line_idx = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        line_idx += 1
        if len(line) > MAX_LINE_BYTES:
            raise refuse(f"{name}: line {line_idx}", f"is longer than {MAX_LINE_BYTES} bytes; put one video on a line")
        yield line


def _given(raw: dict[str, object]) -> dict[str, object]:
    """Without the nulls that tables write for "not given"; only a group's null, ``refine: null``, says something."""
    if None not in raw.values():
        return raw
    return {key: value for key, value in raw.items() if value is not None or key in VIDEO.nulls}


def _csv(file: IO[bytes], name: str) -> Iterator[Row]:
    lines = (decoded(line, name, first_line=line_idx) for line_idx, line in enumerate(_lines(file, name), 1))
    reader = csv.reader(lines, strict=True)
    try:
        header = [column.strip() for column in next(reader, [])]
        if len(set(header)) != len(header) or not all(header):
            raise refuse(f"{name}: line 1", "a column has no name, or the name of another; name each once")
        for cells in reader:
            if cells:
                yield _csv_row(header, cells, f"line {reader.line_num}", name)
    except csv.Error as error:
        raise refuse(f"{name}: line {reader.line_num}", f"is not CSV, or the file is cut short: {error}") from None


def _csv_row(header: list[str], cells: list[str], where: str, name: str) -> Row:
    if len(cells) > len(header):
        return Row(
            where,
            refuse(f"{name}: {where}", f"has {len(cells)} cells for {len(header)} columns; quote cells with commas"),
        )
    return Row(where, {key: value_of(key, cell) for key, cell in zip(header, cells, strict=False) if cell.strip()})


def _parquet(file: IO[bytes], name: str) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    row_idx = 0
    try:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=1024):
            for raw in batch.to_pylist():
                row_idx += 1
                yield Row(f"row {row_idx}", {key: _plain(value) for key, value in raw.items() if value is not None})
    except (pa.ArrowException, OSError) as error:
        raise refuse(name, f"is not Parquet, or the file is cut short: {' '.join(str(error).split())[:200]}") from None


def _plain(value: object) -> object:
    """Without nulls, and whole floats as integers: a column with gaps is all floats, whatever was put into it."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
