"""Reading, before anything is planned, what must be known of a video file that a manifest names.

The first picture is decoded, so that a file which opens and cannot be shown is refused here and not in a worker.
"""

from __future__ import annotations

from fractions import Fraction
from hashlib import file_digest
from pathlib import Path

from av.container.input import InputContainer
from av.video.stream import VideoStream

from ltx_ray.errors import MediaError
from ltx_ray.media.footage import displayed_size, picture_stream
from ltx_ray.media.probe import describe
from ltx_ray.media.read import exact, open_media
from ltx_ray.spec.grid import round_half_up
from ltx_ray.spec.source import SourceFacts


def read_source(path: Path) -> SourceFacts:
    """Facts of a video file, and its digest.

    Raises:
        MediaError: the file is missing, unreadable, without a picture, or one still picture.
    """
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "there is no such file"
        raise MediaError(f"{path}: {what}; name a video that is there")
    try:
        with path.open("rb") as file:
            sha256, num_bytes = file_digest(file, "sha256").hexdigest(), file.tell()
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    with open_media(path) as container:
        stream = picture_stream(path, container)
        frame = next(container.decode(stream), None)
        if frame is None:
            raise MediaError(f"{path}: has no picture that can be decoded; check that it is whole")
        width, height = (round_half_up(side) for side in displayed_size(frame, stream))
    media = describe(path)
    assert media.video is not None
    if media.video.num_frames < 2 or media.video.frame_rate is None:
        raise MediaError(f"{path}: is a single still picture; name a video, which has at least 2 frames")
    with open_media(path) as container:
        duration_s = _picture_duration_s(container, picture_stream(path, container), media.video.frame_rate)
    return SourceFacts(
        sha256=sha256,
        num_bytes=num_bytes,
        duration_s=duration_s,
        frame_rate=media.video.frame_rate,
        width_px=width,
        height_px=height,
        has_sound=media.audio is not None,
    )


def _picture_duration_s(container: InputContainer, stream: VideoStream, frame_rate: Fraction) -> Fraction:
    """From the first picture's beginning to the last one's end, in whole frames where the rate is constant."""
    shown = [packet for packet in container.demux(stream) if packet.size and not packet.is_discard]
    times = [(packet.pts, packet.duration or 0) for packet in shown if packet.pts is not None]
    tick_s = exact(stream.time_base)
    if len(times) < len(shown) or tick_s is None:
        return len(shown) / frame_rate
    times.sort()
    (first, _), (last, ticks) = times[0], times[-1]
    span_s = (last - first) * tick_s
    # Containers that count milliseconds are off by less than this from whole frames.
    if abs(span_s - (len(shown) - 1) / frame_rate) <= max(tick_s, Fraction(1, 1000)):
        return len(shown) / frame_rate
    return span_s + (ticks * tick_s or 1 / frame_rate)
