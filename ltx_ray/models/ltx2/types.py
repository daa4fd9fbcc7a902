"""What a precision is to torch."""

from __future__ import annotations

from collections.abc import Mapping

import torch

TORCH_TYPES: Mapping[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
