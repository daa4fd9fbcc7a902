"""About how much memory parts take once they are loaded, from the heads of their files. No torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import prod
from pathlib import Path

from ltx_ray.models.ltx2.files.sources import Weight, weights_of
from ltx_ray.models.ltx2.files.text_files import look_at_text_encoder
from ltx_ray.spec.weights import Part

#: Bytes of a number in the type that a precision computes in; see ``models.ltx2.types``.
COMPUTED_BYTES: Mapping[str, int] = {"fp32": 4, "bf16": 2, "fp8": 2, "gguf": 2, "fp4": 2}
#: Precisions in which matrices stay as they are stored, and those of a text encoder.
KEEPS, TEXT_KEEPS = ("fp8", "gguf", "fp4"), ("fp8", "fp4")
#: Weights that fp8 is made of where a file has 16 bits.
BLOCKS = "transformer_blocks."
#: Bits of a weight of a GGUF that a LoRA was folded into, see ``models.ltx2.repacked``.
REPACKED_BITS = 8.5


def part_bytes(part: Part, files: Sequence[Path], precision: str) -> int:
    """Of a part without LoRAs."""
    if part == "text_encoder":
        return text_encoder_bytes(files[0], precision)
    return held_bytes(list(weights_of(part, files)), precision)


def held_bytes(found: Sequence[Weight], precision: str, folded: Collection[str] = ()) -> int:
    """Of these weights; ``folded``: names of those that LoRAs change."""
    size, casts = COMPUTED_BYTES[precision], is_cast(found, precision)
    total = 0
    for each in found:
        is_matrix, count = len(each.shape) == 2 and each.name.endswith(".weight"), prod(each.shape)
        if is_matrix and precision in KEEPS and each.stays_packed:
            is_repacked = each.form.kind == "gguf" and each.name in folded
            total += int(count * REPACKED_BITS / 8) if is_repacked else each.num_bytes
        else:
            total += count if is_matrix and casts and each.name.startswith(BLOCKS) else count * size
    return total


def is_cast(found: Sequence[Weight], precision: str) -> bool:
    """Whether float8 is made of the weights of blocks while they are loaded."""
    return precision == "fp8" and not any(each.form.kind == "fp8" for each in found)


def text_encoder_bytes(path: Path, precision: str) -> int:
    """Of the language model in a file or a folder."""
    size, total = COMPUTED_BYTES[precision], 0
    for each in look_at_text_encoder(path).weights:
        told = each.header.tensors[each.stored]
        is_kept = precision in TEXT_KEEPS and each.form.kind != "plain"
        total += told.num_bytes if is_kept else prod(told.shape) * size * (2 if each.form.kind == "fp4" else 1)
    return total
