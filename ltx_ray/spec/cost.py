"""What a task asks of the device that computes it."""

from __future__ import annotations

from typing import NamedTuple


class Cost(NamedTuple):
    """Of one task, on any device."""

    flops: float  #: of all its passes together; a multiplication and an addition are two
    peak_bytes: int  #: of activations and state beside the weights, at most at a time
