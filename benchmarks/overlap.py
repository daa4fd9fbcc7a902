"""Whether a card waits for an encoder: a decoder of known speed, and frames that are encoded beside it.

    python -m benchmarks.overlap

The decoder sleeps, as this process does while a card computes, and gives 8 frames of 768x512 at a time; H.264 at crf 18
and its medium preset encodes them. Three speeds of the decoder: half, as long and twice as long as encoding takes
alone. ``in_turns`` is one after the other in one thread, ``beside`` what a task does; the bound is the longer of both.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from benchmarks.record import keep
from ltx_ray.media.beside import beside
from ltx_ray.media.write import encode_chunk
from ltx_ray.spec.recipe import EncodeSettings

SETTINGS = EncodeSettings(codec="h264", crf=18, preset="medium", gop_frames=48, threads=1, crop_px=None)
NUM_PIECES, FRAMES, SIZE = 12, 8, (512, 768)


def pieces(sleep_s: float) -> Iterator[np.ndarray]:
    """Noise that moves: it takes an encoder some work."""
    rng = np.random.default_rng(1)
    still = rng.integers(0, 255, (1, *SIZE, 3), np.uint8)
    for idx in range(NUM_PIECES):
        time.sleep(sleep_s)
        yield np.concatenate([np.roll(still, 3 * (FRAMES * idx + frame), axis=2) for frame in range(FRAMES)])


def timed(sleep_s: float, *, is_beside: bool) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chunk"

        def encode(given: Iterator[np.ndarray]) -> int:
            return encode_chunk(given, path, settings=SETTINGS, frame_rate=Fraction(24))

        begun = time.monotonic()
        if is_beside:
            beside(encode, pieces(sleep_s))  # type: ignore[arg-type]
        else:
            encode(pieces(sleep_s))
        return time.monotonic() - begun


def main() -> None:
    encoding_s = min(timed(0.0, is_beside=False) for _ in range(3))
    cases = []
    for times in (0.5, 1.0, 2.0):
        decoding_s = times * encoding_s
        in_turns, overlapped = (
            min(timed(decoding_s / NUM_PIECES, is_beside=is_beside) for _ in range(3)) for is_beside in (False, True)
        )
        bound_s = max(decoding_s, encoding_s)
        cases.append(
            {
                "decoding_of_encoding": times,
                "in_turns_s": round(in_turns, 2),
                "beside_s": round(overlapped, 2),
                "bound_s": round(bound_s, 2),
                "in_turns_over_bound": round(in_turns / bound_s, 2),
                "beside_over_bound": round(overlapped / bound_s, 2),
            }
        )
    keep("overlap", {"frames": NUM_PIECES * FRAMES, "encoding_s": round(encoding_s, 2), "cases": cases})


if __name__ == "__main__":
    main()
