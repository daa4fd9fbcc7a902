"""A user's file opened with FFmpeg: what is refused before, its picture, and its packets and frames as they come.

Only regular files are opened, and only formats that read no other file and no address: what a file is must be in it,
because its digest stands for it. Pictures larger than MAX_PIXELS are refused before memory is taken for them. FFmpeg
sees no name: what a file is follows from what is in it, so a file and its copy in a store are read alike.

A damaged packet is no broken file: it is passed over, as players do, and counted where somebody wants to know.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from shlex import quote
from typing import IO, Any, Protocol, TypeVar

import av
from av.container.input import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from ltx_ray.errors import MediaError
from ltx_ray.media.beat import beat
from ltx_ray.media.boxes import boxes_of, is_mp4
from ltx_ray.media.declared import declared
from ltx_ray.media.regular import irregular

#: 8K of cinema. A decoder holds up to 17 pictures.
MAX_PIXELS = 8192 * 4320
_LIMITS = {"max_pixels": str(MAX_PIXELS)}


_Stream = TypeVar("_Stream", bound=Stream)


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


#: Formats that only name other files, by what they begin with.
_LISTS = {b"#EXTM3U": "an HLS playlist", b"ffconcat version": "a list of files to join"}
#: FFmpeg's readers of such formats; the rest read the one file they are given.
_READERS_OF_OTHERS = {"concat", "concatf", "dash", "hls", "imf", "rtp", "rtsp", "sap", "sdp", "webm_dash_manifest"}
#: Readers that draw any text as a picture.
_READERS_OF_TEXT = {"tty", "bin", "xbin", "adf", "idf"}


@dataclass(slots=True)
class Damage:
    """What could not be read of a file on the way."""

    num: int = 0  #: packets
    first_s: Fraction | None = None  #: when the first of them would have been shown, on the file's own clock

    def at(self, packet: Packet[Any]) -> None:
        tick_s, time = exact(packet.time_base), packet.dts if packet.pts is None else packet.pts
        if not self.num and tick_s is not None and time is not None:
            self.first_s = time * tick_s
        self.num += 1


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Open ``path`` for reading; whatever FFmpeg cannot make of it, now or while reading, is a MediaError."""
    _check_readable(path)
    what = "it is whole"
    try:
        # Strict UTF-8 would make odd tags fatal.
        options = {"protocol_whitelist": "file", "format_whitelist": _readers(), **_LIMITS}
        with _nameless(path) as name, av.open(name, "r", metadata_errors="replace", options=options) as container:
            for stream in container.streams.video:
                if stream.codec_context is not None:
                    stream.codec_context.options = _LIMITS
                    if not stream.codec_context.width:  # not known, or over the limit
                        what = f"it is whole, and its pictures not larger than {MAX_PIXELS} pixels"
            yield container
    except av.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise MediaError(f"{path}: reading it needs more memory than there is; convert it first") from error
        raise MediaError(f"{path}: cannot be read as media ({error.strerror}); check that {what}") from error


def _check_readable(path: Path) -> None:
    if (what := irregular(path)) is not None:
        raise MediaError(f"{path}: {what}; name a media file")
    try:
        with path.open("rb") as file:
            begin = file.read(32)
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        why = getattr(error, "strerror", None) or error
        raise MediaError(f"{path}: cannot be read as media ({why}); check its path and permissions") from error
    for mark, what in _LISTS.items():
        if begin.startswith(mark):
            remedy = f"join what it names: `ffmpeg -i {quote(str(path))} film.mkv`"
            raise MediaError(f"{path}: is {what}, not a media file; {remedy}")


@cache
def _readers() -> str:
    return ",".join(sorted(av.formats_available - _READERS_OF_OTHERS - _READERS_OF_TEXT))


@contextmanager
def _nameless(path: Path) -> Iterator[str | _Beginning]:
    """Another name of an open file, without an ending and without what FFmpeg takes for a URL or a pattern."""
    with path.open("rb") as file:
        cut = boxes_of(path).cut if is_mp4(path) else None
        if cut is not None and cut.kind == b"moof":  # half an index, which FFmpeg gives up on
            yield _Beginning(file, cut.start)
        else:
            yield f"/dev/fd/{file.fileno()}"


class _Beginning:
    """The first so many bytes of a file."""

    def __init__(self, file: IO[bytes], num_bytes: int) -> None:
        self._file, self._num_bytes = file, num_bytes
        file.seek(0)

    def read(self, size: int) -> bytes:
        return self._file.read(max(0, min(size, self._num_bytes - self._file.tell())))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(self._num_bytes + offset if whence == os.SEEK_END else offset, whence % os.SEEK_END)

    def tell(self) -> int:
        return self._file.tell()


def packets(container: InputContainer, stream: Stream) -> Iterator[Packet[Any]]:
    """Packets of ``stream`` from where ``container`` stands; the last one is empty and tells a decoder to flush.

    Where a file is broken beyond reading on, it ends.
    """
    found = container.demux(stream)
    while True:
        try:
            packet = next(found, None)
        except (av.InvalidDataError, av.EOFError):
            packet = Packet()
            packet.stream = stream
            found = iter(())
        if packet is None:
            return
        beat()
        yield packet


def decoded(container: InputContainer, stream: Stream, damage: Damage | None = None) -> Iterator[Any]:
    """Frames of ``stream`` from where ``container`` stands."""
    for packet in packets(container, stream):
        try:
            frames = packet.decode()
        except (av.InvalidDataError, av.EOFError):
            if damage is not None:
                damage.at(packet)
            continue
        yield from frames


def picture_stream(path: Path, container: InputContainer) -> VideoStream:
    """The file's picture; a cover on a sound file is none.

    Raises:
        MediaError: there is none, or none that can be decoded.
    """
    stream = first_picture(container)
    if stream is None:
        raise MediaError(f"{path}: has no picture; name a video")
    if stream.codec_context is None:
        codec = declared(container, stream).codec
        raise MediaError(
            f"{path}: its picture cannot be decoded (codec {codec!r}); convert it with a program that knows it, to "
            "H.264 for example"
        )
    return stream


def first_picture(container: InputContainer) -> VideoStream | None:
    """The stream of pictures that players show, whether or not it can be decoded; a cover is none."""
    videos = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    return played(videos) if videos else None


def played(streams: Sequence[_Stream]) -> _Stream:
    """Of streams of a kind the one that players choose: the first that is marked as default, else the first."""
    return next((stream for stream in streams if stream.disposition & Disposition.default), streams[0])
