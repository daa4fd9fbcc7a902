"""``index.parquet``: one row for every video of a run, finished or not, for whoever wants to sort or filter them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ltx_ray.report.seams import SeamReport
from ltx_ray.store import durable
from ltx_ray.store.faults import storage_errors

_SEAM = pa.struct(
    [
        ("frame", pa.int64()),
        ("at_s", pa.float64()),
        ("colour", pa.float64()),
        ("sharpness", pa.float64()),
        ("motion", pa.float64()),
        ("loudness", pa.float64()),
        ("reencode_error", pa.float64()),
    ]
)
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("path", pa.string()),  # below the run's videos/
        ("is_finished", pa.bool_()),
        ("num_frames", pa.int64()),
        ("frame_rate", pa.string()),  # "24000/1001"
        ("seconds", pa.float64()),
        ("width", pa.int64()),
        ("height", pa.int64()),
        ("num_bytes", pa.int64()),  # of the finished file, as sha256
        ("sha256", pa.string()),
        ("model", pa.string()),
        ("prompts", pa.list_(pa.string())),  # one a scene, as seeds
        ("seeds", pa.list_(pa.uint64())),
        ("stitch_key", pa.string()),
        ("num_seams", pa.int64()),  # these, of finished files whose seams were looked at; 0 = it has none
        ("worst_seam", pa.float64()),
        ("worst_seam_kind", pa.string()),
        ("worst_seam_at_s", pa.float64()),
        ("seams", pa.list_(_SEAM)),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRow:
    """One video. ``num_bytes`` and ``sha256`` are those of its file, None while it is not finished.

    ``seams`` None = not looked at, because it is not finished or the report is gone.
    """

    id: str
    path: str
    num_frames: int
    frame_rate: Fraction
    width_px: int
    height_px: int
    num_bytes: int | None
    sha256: str | None
    model: str
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    stitch_key: str
    seams: SeamReport | None


def write_index(rows: Sequence[IndexRow], path: Path) -> None:
    """Replace ``path`` by a table of ``rows``, whole and durable. Raises StoreError."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist([_fields(row) for row in rows], schema=SCHEMA), sink)
    temp = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with storage_errors(path):
        durable.write_new(temp, sink.getvalue())
        try:
            durable.replace_whole(temp, path)
        except OSError:
            temp.unlink(missing_ok=True)
            raise


def _fields(row: IndexRow) -> dict[str, Any]:
    report = row.seams if row.seams is not None and not row.seams.problem else None
    worst = report.worst if report is not None else None
    return {
        "id": row.id,
        "path": row.path,
        "is_finished": row.sha256 is not None,
        "num_frames": row.num_frames,
        "frame_rate": f"{row.frame_rate.numerator}/{row.frame_rate.denominator}",
        "seconds": float(row.num_frames / row.frame_rate),
        "width": row.width_px,
        "height": row.height_px,
        "num_bytes": row.num_bytes,
        "sha256": row.sha256,
        "model": row.model,
        "prompts": row.prompts,
        "seeds": row.seeds,
        "stitch_key": row.stitch_key,
        "num_seams": None if report is None else len(report.seams),
        "worst_seam": None if worst is None else worst.multiple,
        "worst_seam_kind": None if worst is None else worst.metric,
        "worst_seam_at_s": None if worst is None else worst.seam.at_s,
        "seams": None if report is None else [asdict(seam) for seam in report.seams],
    }
