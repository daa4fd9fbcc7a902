"""How much of a finished video stays in the store: words of the manifest, and a rule of the store."""

from __future__ import annotations

from typing import Literal, get_args

Keep = Literal["all", "latents", "outputs"]
KEEPS: tuple[Keep, ...] = get_args(Keep)
