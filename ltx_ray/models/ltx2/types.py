"""What a precision is to torch: of a part's name for it, the type that it computes in."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ltx_ray.spec.weights import Part

#: By precision. Packed weights are taken back to the type of what they are multiplied with.
TORCH_TYPES: Mapping[str, torch.dtype] = {
    "fp32": torch.float32,
    **dict.fromkeys(("bf16", "fp8", "gguf", "fp4"), torch.bfloat16),
}


def compute_type(part: Part, precision: str, *, is_extended: bool = False) -> torch.dtype:
    """``is_extended``: a vocoder with bandwidth extension; in 16 bits that is lost in noise, so it is never in them.

    Source: ltx_core/model/audio_vae/vocoder.py, Lightricks/LTX-2@400fd31.
    """
    return torch.float32 if part == "vocoder" and is_extended else TORCH_TYPES[precision]
