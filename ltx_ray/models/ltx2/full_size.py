"""The published models at their full size, as modules without memory: what they take can be counted without weights."""

from __future__ import annotations

from typing import Any

import torch

from ltx_ray.models.ltx2.files.modules import empty_module
from ltx_ray.models.ltx2.full_configs import GEMMA, config
from ltx_ray.spec.weights import Part


def module(family: str, part: Part, dtype: torch.dtype = torch.bfloat16) -> Any:
    """A part of the published model, on the meta device."""
    if part == "text_encoder":
        from transformers import Gemma3TextConfig, Gemma3TextModel

        with torch.device("meta"):
            encoder: Any = Gemma3TextModel(Gemma3TextConfig(**GEMMA))
            return encoder.to(dtype).eval()
    # The module's own ``to`` warns of parts to keep in float32, and there are none.
    return torch.nn.Module.to(empty_module(part, config(family, part)), device="meta", dtype=dtype).eval()
