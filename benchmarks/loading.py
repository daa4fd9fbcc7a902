"""How fast weights come from a file, beside a plain read of it, and how much memory that takes beside them.

    python -m benchmarks.loading [--gib 2] [--folder DIR]

A synthetic file of one transformer's layers is read as a worker reads it, tensor by tensor into the place where it
stays. The file is in the page cache both times, so what is measured is the work of loading and not a disk.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from benchmarks.record import keep
from ltx_ray.models.ltx2.files.header import read_header
from ltx_ray.models.ltx2.files.quantised import forms
from ltx_ray.models.ltx2.files.read import TensorFile

SHAPE = (4096, 4096)
#: What is read, and as what it stays.
WAYS = {
    "bf16": (torch.bfloat16, torch.bfloat16),
    "bf16 to fp32": (torch.bfloat16, torch.float32),
    "fp8 as it is": (torch.float8_e4m3fn, None),
    "fp8 to bf16": (torch.float8_e4m3fn, torch.bfloat16),
}


def write(path: Path, num_bytes: int, dtype: torch.dtype) -> None:
    each = torch.randn(SHAPE).to(dtype)
    count = max(1, num_bytes // each.nbytes)
    tensors = {f"{idx}.weight": each.clone() for idx in range(count)}
    if dtype == torch.float8_e4m3fn:
        tensors |= {f"{idx}.weight_scale": torch.tensor(0.01) for idx in range(count)}
    save_file(tensors, path)


def anonymous() -> int:
    """Bytes of memory of this process that no file stands for."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def plain_read(path: Path) -> float:
    """GB/s of reading a file whole, into memory that nobody used before."""
    begun = time.perf_counter()
    content = np.fromfile(path, dtype=np.uint8)
    return content.nbytes / 1e9 / (time.perf_counter() - begun)


def load(path: Path, dtype: torch.dtype | None) -> tuple[float, int]:
    """GB/s of the file, and bytes at the peak beside what stayed."""
    header = read_header(path)
    found = forms(header, header.tensors)
    before, peak, kept = anonymous(), 0, []

    def look(_: int) -> None:
        nonlocal peak
        peak = max(peak, anonymous())

    begun = time.perf_counter()
    with TensorFile(header, look) as file:
        for name, form in found.items():
            if dtype is None:
                packed = file.packed(name, form, device="cpu")
                kept += [packed.data, packed.scale]
            else:
                kept.append(file.tensor(name, form, dtype=dtype, device="cpu"))
    took_s = time.perf_counter() - begun
    stayed = sum(each.nbytes for each in kept if each is not None)
    return path.stat().st_size / 1e9 / took_s, max(0, max(peak, anonymous()) - before - stayed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=2.0)
    parser.add_argument("--folder", type=Path, default=None, help="where the file is written; it is deleted")
    args = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, object] = {"gib": args.gib}
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        path = Path(name) / "weights.safetensors"
        written = None
        for way, (stored, dtype) in WAYS.items():
            if stored != written:
                write(path, int(args.gib * 2**30), stored)
                written = stored
            plain_read(path)
            plain = statistics.median(plain_read(path) for _ in range(3))
            load(path, dtype)
            rates, beside = zip(*(load(path, dtype) for _ in range(3)), strict=True)
            figures[way] = {
                "gb_s": round(statistics.median(rates), 2),
                "plain_read_gb_s": round(plain, 2),
                "of_a_plain_read": round(statistics.median(rates) / plain, 2),
                "beside_mb": round(max(beside) / 1e6, 1),
            }
    figures["target"] = "<= largest tensor + 300 MB beside what stays"
    keep("loading", figures)


if __name__ == "__main__":
    main()
