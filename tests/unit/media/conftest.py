"""Small real films: 64x64 pictures that all differ, coded in milliseconds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ltx_ray.media.audio import write_wav
from ltx_ray.media.join import join_chunks
from ltx_ray.media.write import encode_chunk
from ltx_ray.spec.recipe import EncodeSettings, StitchRecipe

SETTINGS = EncodeSettings(codec="h264", crf=0, preset="medium", gop_frames=12, threads=1, crop_px=None)
RECIPE = StitchRecipe(
    num_frames=0,
    sound_samples=(),
    frame_rate=Fraction(24),
    container="mp4",
    audio_codec="aac",
    audio_bit_rate=192_000,
    provenance=None,
)


@pytest.fixture
def clip() -> Callable[..., np.ndarray]:
    """``clip(n)``: n moving pictures, uint8 [n, height, width, 3]."""

    def make(num_frames: int, width: int = 64, height: int = 64) -> np.ndarray:
        rows, columns, frame = np.ogrid[:height, :width, :num_frames]
        red, green, blue = columns * 4 + frame * 5 + rows * 0, rows * 4 + frame * 3, (rows + columns + frame) * 2
        planes = [np.broadcast_to(plane, (height, width, num_frames)) for plane in (red, green, blue)]
        return (np.stack(planes, -1) % 256).astype(np.uint8).transpose(2, 0, 1, 3)

    return make


@pytest.fixture
def encode(tmp_path: Path) -> Callable[..., Path]:
    """``encode(frames, crf=20, ...)``: a chunk with these settings at 24 frames per second or ``frame_rate``."""
    numbers = itertools.count()

    def make(frames: np.ndarray, frame_rate: Fraction = Fraction(24), **settings: object) -> Path:
        path = tmp_path / f"chunk{next(numbers)}"
        encode_chunk([frames], path, settings=replace(SETTINGS, **settings), frame_rate=frame_rate)
        return path

    return make


@pytest.fixture
def join(tmp_path: Path) -> Callable[..., Path]:
    """``join(chunks, num_frames=..., sound=array, ...)``: the file made of them."""
    numbers = itertools.count()

    def make(chunks: Sequence[Path], *, sound: np.ndarray | None = None, **recipe: object) -> Path:
        number = next(numbers)
        out = tmp_path / f"film{number}"
        wav = None
        if sound is not None:
            wav = tmp_path / f"sound{number}.wav"
            write_wav([sound], wav, sample_rate_hz=48_000)
        join_chunks(chunks, out, recipe=replace(RECIPE, **recipe), sound=wav)
        return out

    return make


@pytest.fixture
def film(clip, encode, join) -> Callable[..., Path]:
    """``film(1, 3, 2)``: three chunks of so many frames with sound as long as the picture, joined."""

    def make(*counts: int, codec: str = "h264", frame_rate: Fraction = Fraction(24), **recipe: object) -> Path:
        num_frames = sum(counts)
        frames, edges = clip(num_frames), [0, *itertools.accumulate(counts)]
        chunks = [encode(frames[a:b], frame_rate, codec=codec) for a, b in itertools.pairwise(edges)]
        sound = np.zeros((2, math.floor(num_frames / frame_rate * 48_000)), np.float32)
        return join(chunks, sound=sound, num_frames=num_frames, frame_rate=frame_rate, **recipe)

    return make
