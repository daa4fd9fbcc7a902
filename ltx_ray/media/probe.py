"""What is in a media file: streams, exact times, colour, the order of the file's parts, provenance.

Works for any file FFmpeg opens. Pictures are counted by packets, not decoded. Containers that store times in whole
milliseconds (Matroska) cannot say 24000/1001; the rate that explains every stored time is found again.
"""

from __future__ import annotations

import json
import struct
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.audio.stream import AudioStream
from av.container.input import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from ltx_ray.errors import MediaError
from ltx_ray.media.read import exact, open_media, presented_samples, sample_blocks

#: ITU-T H.273 names of the code points that occur; others are shown as their number, 2 is "unspecified".
_PRIMARIES = {1: "bt709", 5: "bt470bg", 6: "smpte170m", 9: "bt2020", 12: "smpte432"}
_TRANSFERS = {1: "bt709", 6: "smpte170m", 8: "linear", 13: "iec61966-2-1", 16: "smpte2084", 18: "arib-std-b67"}
_MATRICES = {0: "rgb", 1: "bt709", 5: "bt470bg", 6: "smpte170m", 9: "bt2020nc"}
_RANGES = {1: "limited", 2: "full"}
_UNSAID = {0, 2}


@dataclass(frozen=True, slots=True)
class ColourTags:
    """Names as FFmpeg spells them; None = the file does not say."""

    primaries: str | None
    transfer: str | None
    matrix: str | None
    range: str | None

    @property
    def is_bt709(self) -> bool:
        """All of BT.709, limited range."""
        return self == ColourTags("bt709", "bt709", "bt709", "limited")


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoDescription:
    codec: str
    codec_tag: str  #: the container's four characters; "" where it has none
    width_px: int
    height_px: int
    frame_rate: Fraction | None  #: None = one picture, and the container gives no rate
    num_frames: int
    #: Picture k is shown at k / frame_rate: exactly, or to the millisecond where the container counts those.
    is_constant: bool
    pix_fmt: str | None
    colour: ColourTags


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioDescription:
    codec: str
    sample_rate_hz: int
    num_channels: int
    num_samples: int  #: that a player presents


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaDescription:
    container: str  #: FFmpeg's name, "mov,mp4,m4a,3gp,3g2,mj2" for mp4
    duration_s: Fraction | None
    video: VideoDescription | None
    audio: AudioDescription | None
    is_faststart: bool | None  #: the index comes before the pictures; None where the container has no such order
    provenance: Mapping[str, object] | None  #: the comment tag, if it is a JSON object
    tags: Mapping[str, str]  #: names in lower case


def describe(path: Path) -> MediaDescription:
    """Say what is in ``path``: its first video and first audio stream.

    Raises:
        MediaError: the file is missing, no media file, or cut off.
    """
    with open_media(path) as container:
        name = container.format.name
        is_faststart = _moov_is_first(path) if "mp4" in name.split(",") else None
        tags = {key.lower(): value for key, value in container.metadata.items()}
        # A cover picture in a sound file is no video.
        videos = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
        audios = container.streams.audio
        video = _describe_video(container, videos[0]) if videos else None
        audio = _describe_audio(path, audios[0]) if audios else None
        duration_s = None if container.duration is None else Fraction(container.duration, 1_000_000)
    return MediaDescription(
        container=name,
        duration_s=_duration_s(video, audio, duration_s),
        video=video,
        audio=audio,
        is_faststart=is_faststart,
        provenance=_provenance(tags),
        tags=tags,
    )


def _describe_video(container: InputContainer, stream: VideoStream) -> VideoDescription:
    num_frames, found = 0, array("q")
    for packet in container.demux(stream):
        # The last packet of a demuxer is an empty one that tells a decoder to flush.
        num_frames += packet.size > 0
        if packet.size and packet.pts is not None:
            found.append(packet.pts)
    times, time_base = sorted(found), exact(stream.time_base) or Fraction(1, 1000)
    frame_rate = _frame_rate(stream, times, time_base)
    context = stream.codec_context
    return VideoDescription(
        codec=context.codec.canonical_name,
        codec_tag=context.codec_tag.strip("\0 "),
        width_px=context.width,
        height_px=context.height,
        frame_rate=frame_rate,
        num_frames=num_frames,
        is_constant=frame_rate is not None and len(times) == num_frames and _explains(frame_rate, times, time_base),
        pix_fmt=context.pix_fmt,
        colour=ColourTags(
            _tag(_PRIMARIES, context.color_primaries),
            _tag(_TRANSFERS, context.color_trc),
            "rgb" if context.colorspace == 0 else _tag(_MATRICES, context.colorspace),
            _tag(_RANGES, context.color_range, unsaid={0}),
        ),
    )


def _frame_rate(stream: VideoStream, times: list[int], time_base: Fraction) -> Fraction | None:
    """The rate under which every time is right; otherwise the average, as the container gives or FFmpeg counts it."""
    said = exact(stream.average_rate) or (exact(stream.guessed_rate) if len(times) > 1 else None)
    if said is None:
        return None
    usual = [Fraction(round(said * Fraction(1001, 1000)) * 1000, 1001), Fraction(round(said))]
    # Matroska keeps 60000/1001 as a frame's nanoseconds, which FFmpeg reads back as 19001/317.
    meant = [rate for rate in usual if abs(rate - said) < said / 100_000]
    rates = [rate for rate in (*meant, said, *usual) if rate > 0]
    exactly = (rate for rate in rates if _error_ticks(rate, times, time_base) == 0)
    nearly = (rate for rate in rates if _explains(rate, times, time_base))
    return next(exactly, None) or next(nearly, None) or said


def _explains(rate: Fraction, times: list[int], time_base: Fraction) -> bool:
    """Whether picture k is at k / rate, or as near as ``time_base`` can say where it cannot say the rate."""
    can_be_exact = (1 / (rate * time_base)).denominator == 1
    error = _error_ticks(rate, times, time_base)
    return error == 0 if can_be_exact else error <= Fraction(1, 2)


def _error_ticks(rate: Fraction, times: list[int], time_base: Fraction) -> Fraction:
    """How far, in units of ``time_base``, the worst of ``times`` is from k / rate."""
    num, den = (1 / (rate * time_base)).as_integer_ratio()
    return Fraction(max((abs(time * den - k * num) for k, time in enumerate(times)), default=0), den)


def _tag(names: Mapping[int, str], value: int, unsaid: frozenset[int] | set[int] = frozenset(_UNSAID)) -> str | None:
    return None if value in unsaid else names.get(value, str(value))


def _describe_audio(path: Path, stream: AudioStream) -> AudioDescription:
    context = stream.codec_context
    num_samples = presented_samples(stream)
    if num_samples is None:
        num_samples = sum(block.shape[1] for block in sample_blocks(path))
    return AudioDescription(
        codec=context.codec.canonical_name,
        sample_rate_hz=context.sample_rate,
        num_channels=context.layout.nb_channels,
        num_samples=num_samples,
    )


def _duration_s(
    video: VideoDescription | None, audio: AudioDescription | None, said_s: Fraction | None
) -> Fraction | None:
    """The longer of picture and sound where both are exact, else what the container says, in microseconds."""
    if video is not None and (video.frame_rate is None or not video.is_constant):
        return said_s
    picture_s = video.num_frames / video.frame_rate if video is not None and video.frame_rate else Fraction(0)
    sound_s = Fraction(audio.num_samples, audio.sample_rate_hz) if audio is not None else Fraction(0)
    return max(picture_s, sound_s) or said_s


def _provenance(tags: Mapping[str, str]) -> Mapping[str, object] | None:
    try:
        value = json.loads(tags.get("comment", ""))
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _moov_is_first(path: Path) -> bool:
    """Whether the index comes before the pictures, which lets a browser start before it has the whole file."""
    order: list[bytes] = []
    size, offset = path.stat().st_size, 0
    with path.open("rb") as file:
        while offset + 8 <= size:
            file.seek(offset)
            length, kind = struct.unpack(">I4s", file.read(8))
            if length == 1:
                length = struct.unpack(">Q", file.read(8))[0]
            length = length or size - offset
            if length < 8 or offset + length > size:
                part = kind.decode("latin-1")
                raise MediaError(f"{path}: is cut off at {size} bytes; its part {part!r} ends at {offset + length}")
            order.append(kind)
            offset += length
    return b"moov" in order and (b"mdat" not in order or order.index(b"moov") < order.index(b"mdat"))
