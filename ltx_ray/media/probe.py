"""What is in a media file: streams, exact times, colour, the order of the file's parts, provenance.

Works for any file FFmpeg opens. Pictures are those that are shown (``media.pictures``). Containers that store times in
whole milliseconds (Matroska) cannot say 24000/1001; the rate that explains every stored time is found again.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np
from av.container.input import InputContainer
from av.video.stream import VideoStream

from ltx_ray.errors import MediaError
from ltx_ray.media.boxes import boxes_of
from ltx_ray.media.declared import declared
from ltx_ray.media.described import AudioDescription, ColourTags, MediaDescription, VideoDescription
from ltx_ray.media.listen import Heard, clock_start_s, listen, presented_end_s
from ltx_ray.media.open import exact, first_picture, open_media, packets, played
from ltx_ray.media.pictures import Pictures, shown_pictures

#: ITU-T H.273 names of the code points that occur; others are shown as their number, 2 is "unspecified".
_PRIMARIES = {1: "bt709", 5: "bt470bg", 6: "smpte170m", 9: "bt2020", 12: "smpte432"}
_TRANSFERS = {1: "bt709", 6: "smpte170m", 8: "linear", 13: "iec61966-2-1", 16: "smpte2084", 18: "arib-std-b67"}
_MATRICES = {0: "rgb", 1: "bt709", 5: "bt470bg", 6: "smpte170m", 9: "bt2020nc"}
_RANGES = {1: "limited", 2: "full"}
_UNSAID = {0, 2}
#: Levels of JSON in a comment that may be provenance; ours has 3.
_DEEPEST = 32


def describe(path: Path) -> MediaDescription:
    """Say what is in ``path``: its first video and first audio stream.

    Raises:
        MediaError: the file is missing, no media file, or cut off.
    """
    with open_media(path) as container:
        name = container.format.name
        is_faststart = _moov_is_first(path) if "mp4" in name.split(",") else None
        tags = {key.lower(): value for key, value in container.metadata.items()}
        picture = first_picture(container)
        video = _describe_video(path, container, picture) if picture else None
        duration_s = None if container.duration is None else Fraction(container.duration, 1_000_000)
        if clock_start_s(container):  # some containers count from the clock's 0
            duration_s = video.end_s if video else None
    audio = _describe_audio(path)
    return MediaDescription(
        container=name,
        duration_s=_duration_s(video, audio, duration_s),
        video=video,
        audio=audio,
        is_faststart=is_faststart,
        provenance=_provenance(tags),
        tags=tags,
    )


def describe_picture(path: Path, pictures: Pictures | None = None) -> VideoDescription | None:
    """The same of the picture alone, without a look at the sound; None = there is none.

    Args:
        pictures: of the file, where somebody has looked through them before.
    """
    with open_media(path) as container:
        if "mp4" in container.format.name.split(","):
            _moov_is_first(path)
        picture = first_picture(container)
        return _describe_video(path, container, picture, pictures) if picture else None


def _describe_video(
    path: Path, container: InputContainer, stream: VideoStream, pictures: Pictures | None = None
) -> VideoDescription:
    if pictures is None and stream.codec_context is not None:
        pictures = shown_pictures(path)
    if pictures is not None:
        num_frames, time_base = pictures.num, pictures.tick_s
        shift = round((pictures.start_s - clock_start_s(container)) / time_base)
        times = array("q", (np.array(pictures.times, np.int64) + shift).tobytes())
    else:
        num_frames, times, time_base = _packet_times(container, stream)
    frame_rate = _frame_rate(stream, times, time_base)
    is_constant = frame_rate is not None and len(times) == num_frames and _explains(frame_rate, times, time_base)
    end_s = times[-1] * time_base + (1 / frame_rate if frame_rate else 0) if times else None
    context = stream.codec_context
    if context is None:
        said = declared(container, stream)
        return VideoDescription(
            codec=said.codec,
            is_decodable=False,
            codec_tag=said.codec,
            width_px=said.size_px[0],
            height_px=said.size_px[1],
            frame_rate=frame_rate,
            num_frames=num_frames,
            is_constant=is_constant,
            end_s=end_s,
            pix_fmt=None,
            colour=ColourTags(None, None, None, None),
        )
    return VideoDescription(
        codec=context.codec.canonical_name,
        is_decodable=True,
        codec_tag=context.codec_tag.strip("\0 "),
        width_px=context.width,
        height_px=context.height,
        frame_rate=frame_rate,
        num_frames=num_frames,
        is_constant=is_constant,
        end_s=end_s,
        pix_fmt=context.pix_fmt,
        colour=ColourTags(
            _tag(_PRIMARIES, context.color_primaries),
            _tag(_TRANSFERS, context.color_trc),
            "rgb" if context.colorspace == 0 else _tag(_MATRICES, context.colorspace),
            _tag(_RANGES, context.color_range, unsaid={0}),
        ),
    )


def _packet_times(container: InputContainer, stream: VideoStream) -> tuple[int, array[int], Fraction]:
    """Number and times of pictures that nobody can decode."""
    num_frames, found = 0, array("q")
    for packet in packets(container, stream):
        # The last packet of a demuxer is an empty one that tells a decoder to flush.
        num_frames += packet.size > 0
        if packet.size and packet.pts is not None:
            found.append(packet.pts)
    time_base = exact(stream.time_base) or Fraction(1, 1000)
    start = round(clock_start_s(container) / time_base)
    return num_frames, array("q", (np.sort(np.array(found, np.int64)) - start).tobytes()), time_base


def _frame_rate(stream: VideoStream, times: Sequence[int], time_base: Fraction) -> Fraction | None:
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


def _explains(rate: Fraction, times: Sequence[int], time_base: Fraction) -> bool:
    """Whether picture k is at k / rate, or as near as ``time_base`` can say where it cannot say the rate."""
    can_be_exact = (1 / (rate * time_base)).denominator == 1
    error = _error_ticks(rate, times, time_base)
    return error == 0 if can_be_exact else error <= Fraction(1, 2)


def _error_ticks(rate: Fraction, times: Sequence[int], time_base: Fraction) -> Fraction:
    """How far, in units of ``time_base``, the worst of ``times`` is from k / rate."""
    num, den = (1 / (rate * time_base)).as_integer_ratio()
    return Fraction(max((abs(time * den - k * num) for k, time in enumerate(times)), default=0), den)


def _tag(names: Mapping[int, str], value: int, unsaid: frozenset[int] | set[int] = frozenset(_UNSAID)) -> str | None:
    return None if value in unsaid else names.get(value, str(value))


def _describe_audio(path: Path) -> AudioDescription | None:
    """None = no sound: no stream of it, or one that holds none."""
    with open_media(path) as container:
        if not container.streams.audio:
            return None
        stream = played(container.streams.audio)
        said = declared(container, stream)
        if stream.codec_context is None:
            return AudioDescription(
                codec=said.codec,
                is_decodable=False,
                sample_rate_hz=said.sample_rate_hz,
                num_channels=said.num_channels,
                start_s=Fraction(0),
                num_samples=0,
            )
        pieces = listen(path, container, stream)
        first = next(pieces, None)
        if first is None:
            return None
        start_s = Fraction(0) if first.time_s is None else first.time_s - clock_start_s(container)
        end_s = presented_end_s(container, stream)
        num_samples = (
            round(start_s * first.rate_hz) + _num_samples(chain([first], pieces), first.rate_hz)
            if end_s is None
            else round((end_s - clock_start_s(container)) * first.rate_hz)
        )
        return AudioDescription(
            codec=stream.codec_context.codec.canonical_name,
            is_decodable=True,
            sample_rate_hz=first.rate_hz,
            num_channels=len(first.samples),
            start_s=start_s,
            num_samples=max(0, num_samples),
        )


def _num_samples(pieces: Iterable[Heard], rate_hz: int) -> int:
    """Samples in ``pieces``, counted at one rate."""
    return round(sum((Fraction(heard.samples.shape[1] * rate_hz, heard.rate_hz) for heard in pieces), Fraction(0)))


def _duration_s(
    video: VideoDescription | None, audio: AudioDescription | None, said_s: Fraction | None
) -> Fraction | None:
    """The longer of picture and sound where both are exact, else what the container says, in microseconds."""
    if video is not None and (video.frame_rate is None or not video.is_constant):
        return said_s
    picture_s = video.num_frames / video.frame_rate if video is not None and video.frame_rate else Fraction(0)
    sound_s = Fraction(audio.num_samples, audio.sample_rate_hz) if audio and audio.is_decodable else Fraction(0)
    return max(picture_s, sound_s) or said_s


def _provenance(tags: Mapping[str, str]) -> Mapping[str, object] | None:
    try:
        value = json.loads(tags.get("comment", ""))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and not _is_deeper(value, _DEEPEST) else None


def _is_deeper(value: object, levels: int) -> bool:
    """Whether more than so many levels of JSON lie in each other: whoever writes it again goes down as far."""
    if not isinstance(value, (dict, list)):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(each, levels - 1) for each in inner)


def _moov_is_first(path: Path) -> bool:
    """Whether the index comes before the pictures, which lets a browser start before it has the whole file.

    Raises:
        MediaError: the file is cut off, and is not made of fragments, of which those before the cut can be read.
    """
    boxes = boxes_of(path)
    if boxes.cut is not None and not boxes.has_fragments:
        part, end = boxes.cut.kind.decode("latin-1"), boxes.cut.stop
        raise MediaError(f"{path}: is cut off at {boxes.size} bytes; its part {part!r} ends at {end}")
    return boxes.first(b"moov") < boxes.first(b"mdat")
