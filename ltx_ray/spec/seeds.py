"""Where every seed comes from. A seed means the same on every device: noise is drawn on the CPU in float32."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Literal

#: The largest that a user may give; what is drawn with is made of it by ``noise_seed``.
MAX_SEED = 2**64 - 1
#: "Any": one is drawn when the video is first rendered (``run.seeds``).
ANY_SEED = -1
#: Of what is handed to a generator.
_MAX_NOISE_SEED = 2**63 - 1


def seed_of_id(video_id: str) -> int:
    """The seed of a video that names none."""
    return _hash("video", video_id) % 2**31


@lru_cache(maxsize=1024)
def noise_seed(seed: int, segment_idx: int, modality: Literal["video", "audio"]) -> int:
    """Seed of one segment's noise; ``segment_idx`` counts inside the take, and both stages use the same one."""
    return _hash("noise", str(seed), str(segment_idx), modality)


def step_noise_seed(seed: int, draw_idx: int, modality: Literal["video", "audio"]) -> int:
    """Seed of the ``draw_idx``-th noise that a stochastic sampler injects in a descent; never that of its start."""
    return _hash("step noise", str(seed), str(draw_idx), modality)


def _hash(*parts: str) -> int:
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") & _MAX_NOISE_SEED
