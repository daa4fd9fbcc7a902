"""Files back to pictures and samples, exactly: in order, nothing collected, sound cut to what a player presents.

A coder's priming samples, and the samples after the last presented one, are not sound of the file: they are dropped
here, so sample 0 is presentation time 0 and the count is what the container promises.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container.input import InputContainer
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import VideoReformatter

from ltx_ray.errors import MediaError
from ltx_ray.media.colour import to_rgb

#: Decoding so many pictures in vain costs less than looking for a key frame and decoding from there.
SEEK_FRAMES = 24


class Ratio(Protocol):
    """A rational of PyAV: ``Fraction`` up to version 18, ``AVRational`` from 19."""

    @property
    def numerator(self) -> int: ...
    @property
    def denominator(self) -> int: ...


def exact(value: Ratio | None) -> Fraction | None:
    """The ``Fraction`` of a time base or rate; None for what FFmpeg leaves unset (None, 0/1, 1/0)."""
    if value is None or not value.numerator or not value.denominator:
        return None
    return Fraction(value.numerator, value.denominator)


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Open ``path`` for reading; whatever FFmpeg cannot make of it, now or while reading, is a MediaError."""
    try:
        # Absolute, because FFmpeg takes "a:b.mp4" for a URL; strict UTF-8 would make odd tags fatal.
        with av.open(str(path.absolute()), "r", metadata_errors="replace") as container:
            yield container
    except av.FFmpegError as error:
        raise MediaError(f"{path}: cannot be read as media ({error.strerror}); check that it is whole") from error


def read_frames(path: Path) -> Iterator[np.ndarray]:
    """Every picture in presentation order, uint8 RGB [height, width, 3].

    Raises:
        MediaError: ``path`` is no media file, is damaged, or has no picture.
    """
    converter = VideoReformatter()
    for frame in _video_frames(path):
        yield to_rgb(converter, frame)


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
        if not container.streams.video:
            raise MediaError(f"{path}: has no picture")
        stream = container.streams.video[0]
        frames, position = container.decode(stream), 0
        for start, stop in ranges:
            if start - position > SEEK_FRAMES:
                frames = _seek(container, start, frame_rate)
            for frame in frames:
                position = _frame_number(frame, frame_rate) + 1
                if position > start:
                    yield position - 1, tuple(_plane(plane) for plane in frame.planes)
                if position >= stop:
                    break


def _seek(container: InputContainer, start: int, frame_rate: Fraction) -> Iterator[VideoFrame]:
    """Pictures from a key frame at or before number ``start``."""
    stream = container.streams.video[0]
    time_base = exact(stream.time_base) or Fraction(1, 1000)
    container.seek(round(start / frame_rate / time_base), stream=stream)
    frames = container.decode(stream)
    first = next(frames, None)
    if first is None or _frame_number(first, frame_rate) > start:  # the key frame is decoded before, shown after
        container.seek(0, stream=stream)
        return container.decode(stream)
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
    """The same sound as ``read_samples``, in blocks float32 [channels, n] as the decoder gives them."""
    with open_media(path) as container:
        if not container.streams.audio:
            raise MediaError(f"{path}: has no sound")
        stream = container.streams.audio[0]
        stop = presented_samples(stream)
        # Decoders answer in many sample formats; this changes the format only, never rate or count.
        planar = av.AudioResampler(format="fltp")
        position: int | None = None
        for frame in container.decode(stream):
            if position is None:
                position = _start_sample(frame)
                if position > 0:
                    yield np.zeros((len(frame.layout.channels), position), np.float32)
            for part in planar.resample(frame):
                samples = part.to_ndarray()
                keep = inside(samples, position, stop)
                position += samples.shape[1]
                if keep.shape[1]:
                    yield keep


def inside(samples: np.ndarray, start: int, stop: int | None) -> np.ndarray:
    """The part within [0, ``stop``) of samples [channels, n] whose first has number ``start``; None = no end."""
    end = samples.shape[1] if stop is None else max(0, stop - start)
    return samples[:, max(0, -start) : end]


def presented_samples(stream: AudioStream) -> int | None:
    """Samples that the container says are played; None when it does not say (Matroska: count them)."""
    time_base = exact(stream.time_base)
    if stream.duration is None or time_base is None:
        return None
    return round(((stream.start_time or 0) + stream.duration) * time_base * stream.codec_context.sample_rate)


def _start_sample(frame: AudioFrame) -> int:
    """Presentation time of a frame, in samples."""
    return round((frame.pts or 0) * (exact(frame.time_base) or 0) * frame.sample_rate)


def _video_frames(path: Path) -> Iterator[VideoFrame]:
    with open_media(path) as container:
        if not container.streams.video:
            raise MediaError(f"{path}: has no picture")
        yield from container.decode(container.streams.video[0])


def _plane(plane: VideoPlane) -> np.ndarray:
    """A plane without the padding at the end of its rows."""
    rows = np.frombuffer(bytes(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]
