"""Files back to pictures and samples, exactly: in order, nothing collected, sound cut to what a player presents.

A coder's priming samples, and the samples after the last presented one, are not sound of the file: they are dropped
here, so sample 0 is presentation time 0 and the count is what the container promises.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.container.input import InputContainer
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from ltx_ray.errors import MediaError
from ltx_ray.media.colour import to_rgb
from ltx_ray.media.listen import clock_start_s, listen, presented_end_s, sound_stream
from ltx_ray.media.matrix import MATRICES, matrix_of
from ltx_ray.media.open import decoded, exact, open_media, picture_stream

#: Decoding so many pictures in vain costs less than looking for a key frame and decoding from there.
SEEK_FRAMES = 24
_BLOCK = 1 << 16


def read_frames(path: Path) -> Iterator[np.ndarray]:
    """Every picture in presentation order, uint8 RGB [height, width, 3].

    Raises:
        MediaError: ``path`` is no media file, is damaged, or has no picture.
    """
    converter, untagged = VideoReformatter(), None
    with open_media(path) as container:
        stream = picture_stream(path, container)
        for frame in decoded(container, stream):
            untagged = untagged or MATRICES[matrix_of(container, stream, frame).name]
            yield to_rgb(converter, frame, untagged=untagged)


def read_planes(path: Path) -> Iterator[tuple[np.ndarray, ...]]:
    """The coded planes of every picture of an 8-bit planar file, each uint8 [rows, columns], without conversion."""
    for frame in _video_frames(path):
        yield tuple(_plane(plane) for plane in frame.planes)


def read_ranges(
    path: Path, ranges: Sequence[tuple[int, int]], *, frame_rate: Fraction
) -> Iterator[tuple[int, tuple[np.ndarray, ...]]]:
    """Number and coded planes, as ``read_planes`` has them, of the pictures in each [start, stop), in order.

    For files of a constant rate from time 0. Decodes little more than is asked for: far ahead it seeks.

    Args:
        ranges: ascending and apart.
    """
    with open_media(path) as container:
        stream = picture_stream(path, container)
        frames, position = decoded(container, stream), 0
        for start, stop in ranges:
            if start - position > SEEK_FRAMES:
                frames = _seek(container, stream, start, frame_rate)
            for frame in frames:
                position = _frame_number(frame, frame_rate) + 1
                if position > start:
                    yield position - 1, tuple(_plane(plane) for plane in frame.planes)
                if position >= stop:
                    break


def _seek(container: InputContainer, stream: VideoStream, start: int, frame_rate: Fraction) -> Iterator[VideoFrame]:
    """Pictures from a key frame at or before number ``start``."""
    time_base = exact(stream.time_base) or Fraction(1, 1000)
    container.seek(round(start / frame_rate / time_base), stream=stream)
    frames = decoded(container, stream)
    first = next(frames, None)
    if first is None or _frame_number(first, frame_rate) > start:  # the key frame is decoded before, shown after
        container.seek(0, stream=stream)
        return decoded(container, stream)
    return itertools.chain([first], frames)


def _frame_number(frame: VideoFrame, frame_rate: Fraction) -> int:
    return round((frame.pts or 0) * (exact(frame.time_base) or 0) * frame_rate)


def read_samples(path: Path) -> np.ndarray:
    """The whole presented sound, float32 [channels, samples]; sample 0 is presentation time 0.

    Raises:
        MediaError: ``path`` is no media file, is damaged, or has no sound.
    """
    blocks = list(sample_blocks(path))
    return np.concatenate(blocks, axis=1) if blocks else np.zeros((0, 0), np.float32)


def sample_blocks(path: Path) -> Iterator[np.ndarray]:
    """The same sound as ``read_samples``, in blocks float32 [channels, n]; silence before it in blocks as well.

    Raises:
        MediaError: besides, a rate or number of channels that changes in the middle.
    """
    with open_media(path) as container:
        stream = sound_stream(path, container)
        if stream is None:
            raise MediaError(f"{path}: has no sound")
        zero_s, end_s = clock_start_s(container), presented_end_s(container, stream)
        first: tuple[int, int] | None = None
        position, stop = 0, None
        for heard in listen(path, container, stream):
            kind = len(heard.samples), heard.rate_hz
            if first is None:
                first = kind
                position = 0 if heard.time_s is None else round((heard.time_s - zero_s) * heard.rate_hz)
                stop = None if end_s is None else round((end_s - zero_s) * heard.rate_hz)
                yield from silence(position, num_channels=kind[0])
            if kind != first:
                (before, before_hz), (after, after_hz) = first, kind
                raise MediaError(
                    f"{path}: its sound changes from {before} channels at {before_hz} Hz to {after} at {after_hz} Hz"
                )
            keep = inside(heard.samples, position, stop)
            position += heard.samples.shape[1]
            if keep.shape[1]:
                yield keep


def silence(num_samples: int, *, num_channels: int = 2) -> Iterator[np.ndarray]:
    """So many samples of it, in blocks float32 [channels, n]; none where the number is not above 0."""
    for first in range(0, num_samples, _BLOCK):
        yield np.zeros((num_channels, min(_BLOCK, num_samples - first)), np.float32)


def inside(samples: np.ndarray, start: int, stop: int | None) -> np.ndarray:
    """The part within [0, ``stop``) of samples [channels, n] whose first has number ``start``; None = no end."""
    end = samples.shape[1] if stop is None else max(0, stop - start)
    return samples[:, max(0, -start) : end]


def _video_frames(path: Path) -> Iterator[VideoFrame]:
    with open_media(path) as container:
        yield from decoded(container, picture_stream(path, container))


def _plane(plane: VideoPlane) -> np.ndarray:
    """A plane without the padding at the end of its rows."""
    rows = np.frombuffer(bytes(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]
