"""In which precision each part of a checkpoint is loaded, from what models.yaml says of the whole.

    bf16, fp32      every part; quantised weights are taken back to numbers while they are loaded
    fp8             the transformer in float8, as its file has it or cast from 16 bits; all else as its file has it
    file            every part as its file has it

No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.files.sources import weights_of
from ltx_ray.models.ltx2.files.text_files import look_at_text_encoder
from ltx_ray.spec.weights import Part

PRECISIONS = ("file", "bf16", "fp8", "fp32")
#: All that a part can be loaded in.
LOADED = ("bf16", "fp32", "fp8", "gguf", "fp4")


def part_precision(part: Part, files: Sequence[Path], whole: str) -> str:
    """Raises ModelError: this part cannot be loaded so."""
    if whole in ("bf16", "fp32"):
        return whole
    if part == "text_encoder":
        return look_at_text_encoder(files[0]).precision
    kinds = {each.form.kind for each in weights_of(part, files)}
    if part == "transformer" and "gguf" in kinds and whole == "fp8":
        raise ModelError(f"{files[0]}: is a GGUF, which cannot be loaded in fp8; take file, or bf16")
    if part == "transformer" and whole == "fp8":
        return "fp8"
    return next((kind for kind in ("gguf", "fp8") if kind in kinds), "bf16")
