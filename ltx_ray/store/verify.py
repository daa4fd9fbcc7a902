"""What is wrong with what a store holds. Finding is free of judgement: who repairs decides elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """``kind``: the key is "unbound", its key file "broken", its object "missing", of another "size" or "corrupt", or
    the artifact is "estranged": an input was made again since and came out different.
    """

    kind: Literal["unbound", "broken", "missing", "size", "corrupt", "estranged"]
    key: str
    detail: str

    def __str__(self) -> str:
        return f"artifact {self.key[:12]}: {self.detail}"
