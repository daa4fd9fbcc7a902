"""Frames to one coded chunk: crop, convert, encode. Nothing is collected; a frame is gone once its packet is written.

Same frames and settings, same bytes, on every run. What that takes: a fixed thread count; encoders that are told what
``spec.codecs`` says; containers in bit-exact mode, so without library versions and dates.
Every chunk starts with a key frame and no frame refers over a GOP edge, so chunks can be joined by packet copy.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container.output import OutputContainer
from av.packet import Packet
from av.video.reformatter import ColorRange, VideoReformatter
from av.video.stream import VideoStream

from ltx_ray.errors import MediaError, StoreError
from ltx_ray.media.colour import BT709, to_yuv
from ltx_ray.spec.codecs import CODECS, CodecSpec
from ltx_ray.spec.recipe import EncodeSettings


def encode_chunk(frames: Iterable[np.ndarray], path: Path, *, settings: EncodeSettings, frame_rate: Fraction) -> int:
    """Encode frames that arrive a few at a time into ``path`` and return how many there were.

    Args:
        frames: uint8 RGB arrays [n, height, width, 3], all of one size; n may differ from array to array.
        path: written whole when this returns; its name need not end in anything particular.
    Raises:
        MediaError: settings that cannot be encoded, a crop or size that does not fit the pixel format, no frame at all.
    """
    check_settings(settings)
    codec, converter = CODECS[settings.codec], VideoReformatter()
    stream: VideoStream | None = None
    count = num_packets = 0
    with create_media(path, codec.chunk) as chunk:
        for picture in _pictures(frames, settings.crop_px, codec.pix_fmt):
            if stream is None:
                stream = _add_stream(chunk, codec, settings, frame_rate, picture.shape)
            frame = to_yuv(converter, picture, codec.pix_fmt)
            frame.pts, frame.time_base = count, 1 / frame_rate
            num_packets += _write(chunk, stream.encode(frame), num_packets, codec)
            count += 1
        if stream is None:
            raise MediaError(f"{path}: there is no frame to encode; a chunk holds at least 1")
        _write(chunk, stream.encode(None), num_packets, codec)
    return count


@contextmanager
def create_media(path: Path, container: str, options: Mapping[str, str] | None = None) -> Iterator[OutputContainer]:
    """Open ``path`` for writing in bit-exact mode; the file is whole when the block ends without an error.

    Raises:
        StoreError: the file cannot be written, now or in the block: no directory, no space.
        MediaError: FFmpeg refuses what the block asks of it.
    """
    try:
        # Absolute, because FFmpeg takes "a:b.mp4" for a URL.
        with av.open(
            str(path.absolute()), "w", format=container, options={"fflags": "+bitexact", **(options or {})}
        ) as target:
            yield target
    except av.FFmpegError as error:
        kind = StoreError if isinstance(error, OSError) else MediaError
        raise kind(f"{path}: cannot be written ({error.strerror})") from error


def check_settings(settings: EncodeSettings) -> None:
    """Raise MediaError for a codec, preset or number no encoder takes."""
    _check_name("codec", settings.codec, tuple(CODECS))
    codec = CODECS[settings.codec]
    if codec.presets is not None:
        _check_name("preset", settings.preset, codec.presets.choices)
    if codec.crf is not None and settings.crf not in codec.crf.choices:
        least, most = codec.crf.choices[0], codec.crf.choices[-1]
        nearest = codec.crf.default if settings.crf is None else min(max(settings.crf, least), most)
        raise MediaError(f"crf: {settings.crf} is not {least}..{most}; nearest is {nearest}")
    for name, value in (("gop_frames", settings.gop_frames), ("threads", settings.threads)):
        if value < 1:
            raise MediaError(f"{name}: {value} is less than 1; nearest is 1")


def _check_name(field: str, name: str | None, known: Sequence[str]) -> None:
    if name in known:
        return
    nearest = difflib.get_close_matches(name or "", known, n=1, cutoff=0.0)[0]
    raise MediaError(f"{field}: {name!r} is not known; nearest is {nearest!r} of {', '.join(known)}")


def _pictures(frames: Iterable[np.ndarray], crop_px: tuple[int, int] | None, pix_fmt: str) -> Iterator[np.ndarray]:
    """Single pictures [height, width, 3], cropped; one array of ``frames`` is held at a time."""
    for block_NHWC in frames:
        assert block_NHWC.dtype == np.uint8 and block_NHWC.ndim == 4 and block_NHWC.shape[3] == 3, block_NHWC.shape
        rows, columns = _crop_box(block_NHWC.shape[2], block_NHWC.shape[1], crop_px, pix_fmt)
        yield from block_NHWC[:, rows, columns]


def _crop_box(width: int, height: int, crop_px: tuple[int, int] | None, pix_fmt: str) -> tuple[slice, slice]:
    """Rows and columns to keep. The offset is even, so chroma samples stay where they were."""
    if crop_px is None:
        if width % 2 or height % 2:
            raise MediaError(
                f"frame size: {width}x{height} px has an odd side and {pix_fmt} needs even ones; "
                f"nearest crop is {width // 2 * 2}x{height // 2 * 2}"
            )
        return slice(0, height), slice(0, width)
    crop_w, crop_h = crop_px
    fits = tuple(min(max(side // 2 * 2, 2), whole // 2 * 2) for side, whole in ((crop_w, width), (crop_h, height)))
    if fits != crop_px:
        raise MediaError(
            f"crop: {crop_w}x{crop_h} px must have even sides and fit the frame of {width}x{height} px; "
            f"nearest is {fits[0]}x{fits[1]}"
        )
    top, left = (height - crop_h) // 4 * 2, (width - crop_w) // 4 * 2
    return slice(top, top + crop_h), slice(left, left + crop_w)


def _add_stream(
    chunk: OutputContainer,
    codec: CodecSpec,
    settings: EncodeSettings,
    frame_rate: Fraction,
    shape: tuple[int, ...],
) -> VideoStream:
    stream = chunk.add_stream(codec.library, rate=frame_rate, options=codec.options(settings))
    assert isinstance(stream, VideoStream)
    context = stream.codec_context
    context.height, context.width = shape[:2]
    context.pix_fmt = codec.pix_fmt
    context.time_base = 1 / frame_rate
    context.gop_size = settings.gop_frames
    context.thread_count = settings.threads
    context.thread_type = codec.thread_type
    context.colorspace = context.color_primaries = context.color_trc = BT709
    context.color_range = ColorRange.MPEG
    if codec.tag is not None:
        context.codec_tag = codec.tag
    return stream


def _write(chunk: OutputContainer, packets: Sequence[Packet[VideoStream]], num_before: int, codec: CodecSpec) -> int:
    """Write what the encoder gave, ``num_before`` packets after the chunk's first, and return how many it was."""
    if codec.decode_lead is not None:
        for packet_idx, packet in enumerate(packets, num_before):
            packet.dts = packet_idx - codec.decode_lead
    chunk.mux(packets)
    return len(packets)
