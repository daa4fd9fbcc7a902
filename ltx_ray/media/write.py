"""Frames to one coded chunk: crop, convert, encode. Nothing is collected; a frame is gone once its packet is written.

Same frames and settings, same bytes, on every run. What that takes: a fixed thread count; x264 without mbtree (with it
1 run in 15 differs, even on one thread) and without choosing its algorithms by CPU; x265 with its pool and frame
threads fixed and no settings message; containers in bit-exact mode, so without library versions and dates.
Every chunk starts with a key frame and no frame refers over a GOP edge, so chunks can be joined by packet copy.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
from ltx_ray.spec.recipe import EncodeSettings

PRESETS = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
)


@dataclass(frozen=True, slots=True)
class _Encoder:
    """``tag`` is the sample entry players look for; None = the container's own.

    ``decode_lead``: packet i of a chunk is given decode time i - decode_lead; None = the library's own are right.
    """

    library: str
    container: str
    tag: str | None = None
    decode_lead: int | None = None


#: The name in a manifest -> who encodes it and what a chunk of it is stored in.
_ENCODERS = {
    "h264": _Encoder("libx264", "mp4"),
    # x265 leaves decode times uninitialised in chunks shorter than its reordering depth, which H.265 limits to 16.
    "h265": _Encoder("libx265", "mp4", "hvc1", 16),
    "ffv1": _Encoder("ffv1", "matroska"),
}
CODECS = tuple(_ENCODERS)


def encode_chunk(frames: Iterable[np.ndarray], path: Path, *, settings: EncodeSettings, frame_rate: Fraction) -> int:
    """Encode frames that arrive a few at a time into ``path`` and return how many there were.

    Args:
        frames: uint8 RGB arrays [n, height, width, 3], all of one size; n may differ from array to array.
        path: written whole when this returns; its name need not end in anything particular.
    Raises:
        MediaError: settings that cannot be encoded, a crop or size that does not fit yuv420p, no frame at all.
    """
    check_settings(settings)
    encoder, converter = _ENCODERS[settings.codec], VideoReformatter()
    stream: VideoStream | None = None
    count = num_packets = 0
    with create_media(path, encoder.container) as chunk:
        for picture in _pictures(frames, settings.crop_px):
            if stream is None:
                stream = _add_stream(chunk, encoder, settings, frame_rate, picture.shape)
            frame = to_yuv(converter, picture)
            frame.pts, frame.time_base = count, 1 / frame_rate
            num_packets += _write(chunk, stream.encode(frame), num_packets, encoder)
            count += 1
        if stream is None:
            raise MediaError(f"{path}: there is no frame to encode; a chunk holds at least 1")
        _write(chunk, stream.encode(None), num_packets, encoder)
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
    _check_name("codec", settings.codec, CODECS)
    if settings.codec != "ffv1":
        _check_name("preset", settings.preset, PRESETS)
        if not 0 <= settings.crf <= 51:
            raise MediaError(f"crf: {settings.crf} is not 0..51; nearest is {min(max(settings.crf, 0), 51)}")
    for name, value in (("gop_frames", settings.gop_frames), ("threads", settings.threads)):
        if value < 1:
            raise MediaError(f"{name}: {value} is less than 1; nearest is 1")


def _check_name(field: str, name: str, known: tuple[str, ...]) -> None:
    if name in known:
        return
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
    raise MediaError(f"{field}: {name!r} is not known; nearest is {nearest!r} of {', '.join(known)}")


def _pictures(frames: Iterable[np.ndarray], crop_px: tuple[int, int] | None) -> Iterator[np.ndarray]:
    """Single pictures [height, width, 3], cropped; one array of ``frames`` is held at a time."""
    for block_NHWC in frames:
        assert block_NHWC.dtype == np.uint8 and block_NHWC.ndim == 4 and block_NHWC.shape[3] == 3, block_NHWC.shape
        rows, columns = _crop_box(block_NHWC.shape[2], block_NHWC.shape[1], crop_px)
        yield from block_NHWC[:, rows, columns]


def _crop_box(width: int, height: int, crop_px: tuple[int, int] | None) -> tuple[slice, slice]:
    """Rows and columns to keep. The offset is even, so chroma samples stay where they were."""
    if crop_px is None:
        if width % 2 or height % 2:
            raise MediaError(
                f"frame size: {width}x{height} px has an odd side and yuv420p needs even ones; "
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
    encoder: _Encoder,
    settings: EncodeSettings,
    frame_rate: Fraction,
    shape: tuple[int, ...],
) -> VideoStream:
    stream = chunk.add_stream(encoder.library, rate=frame_rate, options=_options(settings))
    assert isinstance(stream, VideoStream)
    context = stream.codec_context
    context.height, context.width = shape[:2]
    context.pix_fmt = "yuv420p"
    context.time_base = 1 / frame_rate
    context.gop_size = settings.gop_frames
    context.thread_count = settings.threads
    # "SLICE" would make x264 cut pictures into slices, which costs quality; ffv1 knows no other way.
    context.thread_type = "SLICE" if settings.codec == "ffv1" else "AUTO"
    context.colorspace = context.color_primaries = context.color_trc = BT709
    context.color_range = ColorRange.MPEG
    if encoder.tag:
        context.codec_tag = encoder.tag
    return stream


def _write(chunk: OutputContainer, packets: Sequence[Packet[VideoStream]], num_before: int, encoder: _Encoder) -> int:
    """Write what the encoder gave, ``num_before`` packets after the chunk's first, and return how many it was."""
    if encoder.decode_lead is not None:
        for packet_idx, packet in enumerate(packets, num_before):
            packet.dts = packet_idx - encoder.decode_lead
    chunk.mux(packets)
    return len(packets)


def _options(settings: EncodeSettings) -> dict[str, str]:
    """What each library must be told beyond its rate control."""
    match settings.codec:
        case "h264":
            params = "mbtree=0:open-gop=0:cpu-independent=1"
            return {"preset": settings.preset, "crf": str(settings.crf), "x264-params": params}
        case "h265":
            params = f"open-gop=0:info=0:frame-threads=1:pools={settings.threads}:log-level=none"
            return {"preset": settings.preset, "crf": str(settings.crf), "x265-params": params}
        case _:
            return {"level": "3", "slices": "4", "slicecrc": "1"}
