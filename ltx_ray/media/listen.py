"""The sound of any file as its decoder gives it: float32 samples, the place of every channel, and when they are heard.

Rate and channels may change in the middle, and a stream may say nothing of either before its first packet; so each
piece says its own. Samples are converted packed, never planar: PyAV finds the planes of a frame up to the first null
pointer, and with 8 channels or more there is none, which ends the process.

When a file begins: at 0 of its own clock, or at its first time where that is a second or more away from 0 (in MPEG
streams, whose clocks never begin at 0: always). Writers that count from 0 delay a stream by less; a live dump or a part
of a broadcast begins wherever the clock was.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from shlex import quote
from typing import NamedTuple

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container.input import InputContainer

from ltx_ray.errors import MediaError
from ltx_ray.media.channels import NAMELESS
from ltx_ray.media.clock import MPEG_STREAMS
from ltx_ray.media.declared import declared
from ltx_ray.media.open import decoded, exact, played

#: A clock that is so far off when the file begins has run before.
_RAN_BEFORE_S = 1
_MICROSECONDS = 1_000_000
#: A rate below would make hours of a few bytes; one above is a broken header. DSD512 has 2.8 MHz.
MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 4_000_000
#: What FFmpeg's converter takes.
MAX_CHANNELS = 64


class Heard(NamedTuple):
    """A piece of sound. ``time_s`` is on the file's own clock; None = directly after the piece before."""

    time_s: Fraction | None
    rate_hz: int
    samples: np.ndarray  #: float32 [channels, n], n > 0
    names: tuple[str, ...]  #: of the channels, as ``media.channels`` knows them


def sound_stream(path: Path, container: InputContainer, track: int | None = None) -> AudioStream | None:
    """The file's sound; None = it has none.

    Args:
        track: which stream of sound, counted from 0; None = the one that players play.

    Raises:
        MediaError: there is no such track, or no decoder here knows it.
    """
    streams = container.streams.audio
    if track is not None and track >= len(streams):
        raise MediaError(f"{path}: has no sound track {track}; it has {len(streams)}, counted from 0")
    if not streams:
        return None
    stream: AudioStream = played(streams) if track is None else streams[track]
    if stream.codec_context is None:
        codec = declared(container, stream).codec
        raise MediaError(
            f"{path}: its sound cannot be decoded (codec {codec!r}); convert it with a program that knows it, or "
            f"{_take_it_out(path)}"
        )
    return stream


def _take_it_out(path: Path) -> str:
    return f"take it out: `ffmpeg -i {quote(str(path))} -map 0:v -c copy -an silent.mkv`"


def listen(path: Path, container: InputContainer, stream: AudioStream) -> Iterator[Heard]:
    """All sound from where ``container`` stands, piece by piece.

    Raises:
        MediaError: it has a rate that cannot be right, or more channels than FFmpeg converts.
    """
    said = declared(container, stream)
    if said.names:
        # Decoders that take over the container's order give nameless channels then; see ``media.declared``.
        stream.codec_context.options = {"ch_layout": f"{said.num_channels}C"}
    converter = _Converter(said.names)
    for frame in decoded(container, stream):
        assert isinstance(frame, AudioFrame)
        if (num_channels := frame.layout.nb_channels) > MAX_CHANNELS:
            raise MediaError(
                f"{path}: sound of {num_channels} channels is more than the {MAX_CHANNELS} that are read; mix it down "
                f"with another program, or {_take_it_out(path)}"
            )
        if not MIN_RATE_HZ <= frame.sample_rate <= MAX_RATE_HZ:
            raise MediaError(
                f"{path}: sound at {frame.sample_rate} Hz is not within {MIN_RATE_HZ}..{MAX_RATE_HZ} Hz; "
                f"convert it first: `ffmpeg -i {quote(str(path))} -c:v copy -ar 48000 film.mkv`"
            )
        tick_s = exact(frame.time_base)
        time_s = None if frame.pts is None or tick_s is None else frame.pts * tick_s
        for samples in converter.convert(frame):
            if samples.shape[1]:
                yield Heard(time_s, frame.sample_rate, samples, converter.names)
                time_s = None


class _Converter:
    """Frames of any format to float32 arrays. The format alone is changed, never rate, count or order."""

    def __init__(self, declared_names: tuple[str, ...]) -> None:
        self.names: tuple[str, ...] = ()  #: of the frame that was converted last
        self._declared_names = declared_names
        self._kind: tuple[str, str, int] | None = None
        self._packed = av.AudioResampler(format="flt")

    def convert(self, frame: AudioFrame) -> Iterator[np.ndarray]:
        kind = frame.format.name, frame.layout.name, frame.sample_rate
        if kind != self._kind:
            self._kind, self._packed, self.names = kind, av.AudioResampler(format="flt"), self._names_of(frame)
        for part in self._packed.resample(frame):
            yield np.ascontiguousarray(part.to_ndarray().reshape(-1, len(self.names)).T)

    def _names_of(self, frame: AudioFrame) -> tuple[str, ...]:
        names = tuple(channel.name for channel in frame.layout.channels)
        is_nameless = all(name == NAMELESS for name in names)
        return self._declared_names if is_nameless and len(names) == len(self._declared_names) else names


def clock_start_s(container: InputContainer) -> Fraction:
    """What the file's own clock shows when the file begins."""
    start_s = Fraction(container.start_time or 0, _MICROSECONDS)
    ran_before = abs(start_s) >= _RAN_BEFORE_S or container.format.name in MPEG_STREAMS
    return start_s if ran_before else Fraction(0)


def presented_end_s(container: InputContainer, stream: AudioStream) -> Fraction | None:
    """When, on the file's own clock, a player ends the sound; None = with its last sample.

    Only MP4 and its kin have an edit list that says so; other containers estimate it.
    """
    tick_s = exact(stream.time_base)
    if "mp4" not in container.format.name.split(",") or not stream.duration or tick_s is None:
        return None
    return ((stream.start_time or 0) + stream.duration) * tick_s
