"""Reading, before anything is planned, what must be known of a video file that a manifest names.

What a render will read of it is read once: its first picture and its last, its first sound and the sound at its end.
So a file that opens and cannot be shown or heard is refused here and not in a worker.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from shlex import quote

import numpy as np
from av.container.input import InputContainer
from av.video.stream import VideoStream

from ltx_ray.errors import MediaError
from ltx_ray.media.beat import beat
from ltx_ray.media.footage import displayed_size, footage_frames, footage_samples
from ltx_ray.media.listen import listen, sound_stream
from ltx_ray.media.open import decoded, exact, open_media, packets, picture_stream
from ltx_ray.media.probe import describe_picture
from ltx_ray.media.regular import irregular
from ltx_ray.spec.grid import round_half_up
from ltx_ray.spec.recipe import Footage
from ltx_ray.spec.source import SourceFacts

_BLOCK_BYTES = 1 << 20
#: A side that is shown so many times as long as the other comes of a broken pixel aspect ratio, not of a camera.
_LONGEST_SIDE = 32
#: Pictures that are further apart come of a clock that was set anew; footage would stand still for as long.
_LONGEST_PICTURE_S = 3600
#: Sound at the end that is heard on trial: what a model may listen to before a connector, and the longest connector.
_HEARD_S = 16
_RATE_HZ = 48_000


def read_source(path: Path) -> SourceFacts:
    """Facts of a video file, and its digest.

    Raises:
        MediaError: the file is missing, unreadable, without a picture, one still picture, or its sound has no decoder.
    """
    if (what := irregular(path)) is not None or not path.is_file():
        raise MediaError(f"{path}: {what or 'there is no such file'}; name a video that is there")
    digest, num_bytes = _digest(path)
    with open_media(path) as container:
        stream = picture_stream(path, container)
        frame = next(decoded(container, stream), None)
        if frame is None:
            raise MediaError(f"{path}: has no picture that can be decoded; check that it is whole")
        width, height = (round_half_up(side) for side in displayed_size(frame, stream))
    if max(width, height) > _LONGEST_SIDE * min(width, height):
        raise MediaError(
            f"{path}: is shown as {width}x{height} px, a side more than {_LONGEST_SIDE} times the other; correct its "
            f"pixel aspect ratio: `ffmpeg -i {quote(str(path))} -vf setsar=1 square.mkv`"
        )
    video = describe_picture(path)
    assert video is not None
    if video.num_frames < 2 or video.frame_rate is None:
        raise MediaError(f"{path}: is a single still picture; name a video, which has at least 2 frames")
    with open_media(path) as container:
        duration_s = _picture_duration_s(path, container, picture_stream(path, container), video.frame_rate)
    facts = SourceFacts(
        sha256=digest,
        num_bytes=num_bytes,
        duration_s=duration_s,
        frame_rate=video.frame_rate,
        width_px=width,
        height_px=height,
        has_sound=_has_sound(path),
    )
    _try_ends(path, facts)
    return facts


def _digest(path: Path) -> tuple[str, int]:
    digest, num_bytes = sha256(), 0
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
                num_bytes += len(block)
                beat()
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    return digest.hexdigest(), num_bytes


def _has_sound(path: Path) -> bool:
    """Whether there is any; a stream that is announced and stays empty is none."""
    with open_media(path) as container:
        stream = sound_stream(path, container)
        return stream is not None and next(listen(path, container, stream), None) is not None


def _try_ends(path: Path, facts: SourceFacts) -> None:
    """Read what a render reads, and keep nothing of it."""
    footage = Footage(frame_rate=facts.frame_rate, width_px=facts.width_px, height_px=facts.height_px)
    num_frames = facts.num_frames(facts.frame_rate)
    num_samples = int(facts.duration_s * _RATE_HZ)
    _exhaust(footage_frames(path, footage, 0, 1))
    _exhaust(footage_frames(path, footage, num_frames - 1, num_frames))
    if facts.has_sound:
        _exhaust(footage_samples(path, sample_rate_hz=_RATE_HZ, start=0, stop=min(_RATE_HZ, num_samples)))
        start = max(0, num_samples - _HEARD_S * _RATE_HZ)
        _exhaust(footage_samples(path, sample_rate_hz=_RATE_HZ, start=start, stop=num_samples))


def _exhaust(values: Iterable[object]) -> None:
    deque(values, maxlen=0)


def _picture_duration_s(path: Path, container: InputContainer, stream: VideoStream, frame_rate: Fraction) -> Fraction:
    """From the first picture's beginning to the last one's end, in whole frames where the rate is constant."""
    num_shown, found, last, ticks = 0, array("q"), None, 0
    for packet in packets(container, stream):
        if packet.size and not packet.is_discard:
            num_shown += 1
            if packet.pts is not None:
                found.append(packet.pts)
                if last is None or packet.pts >= last:
                    last, ticks = packet.pts, packet.duration or 0
    tick_s = exact(stream.time_base)
    if len(found) < num_shown or tick_s is None or last is None:
        return num_shown / frame_rate
    span_s = (last - min(found)) * tick_s
    # Containers that count milliseconds are off by less than this from whole frames.
    if abs(span_s - (num_shown - 1) / frame_rate) <= max(tick_s, Fraction(1, 1000)):
        return num_shown / frame_rate
    _check_gaps(path, np.sort(np.array(found)), tick_s)
    return span_s + (ticks * tick_s or 1 / frame_rate)


def _check_gaps(path: Path, times: np.ndarray, tick_s: Fraction) -> None:
    gaps_s = np.diff(times.astype(np.float64)) * float(tick_s)
    widest = int(gaps_s.argmax())
    if gaps_s[widest] > _LONGEST_PICTURE_S:
        at_s = (int(times[widest]) - int(times[0])) * float(tick_s)
        raise MediaError(
            f"{path}: {gaps_s[widest]:.0f} s lie between two pictures, {at_s:.1f} s after the first one, as if its "
            "clock had been set anew there; give it new times: "
            f"`ffmpeg -i {quote(str(path))} -vf setpts=N/FRAME_RATE/TB -af asetpts=N/SR/TB film.mkv`"
        )
