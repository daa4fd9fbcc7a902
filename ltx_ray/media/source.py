"""Reading, before anything is planned, what must be known of a video file that a manifest names.

What a render will read of it is read once: its first picture and its last, its first sound and the sound at its end.
So a file that opens and cannot be shown or heard is refused here and not in a worker.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from shlex import quote

from av.video.frame import VideoFrame

from ltx_ray.errors import MediaError
from ltx_ray.media.beat import beat
from ltx_ray.media.boxes import boxes_of, is_mp4
from ltx_ray.media.colour import has_alpha, is_wide
from ltx_ray.media.footage import displayed_size, footage_frames, footage_samples
from ltx_ray.media.join import chunk_codec
from ltx_ray.media.listen import listen, sound_stream
from ltx_ray.media.matrix import Matrix, matrix_of
from ltx_ray.media.open import decoded, exact, open_media, packets, picture_stream
from ltx_ray.media.pictures import Pictures, shown_pictures
from ltx_ray.media.probe import describe_picture
from ltx_ray.media.regular import irregular
from ltx_ray.media.turned import Turn, turn_of
from ltx_ray.spec.grid import round_half_up
from ltx_ray.spec.recipe import Footage
from ltx_ray.spec.source import SourceFacts

_BLOCK_BYTES = 1 << 20
#: A side that is shown so many times as long as the other comes of a broken pixel aspect ratio, not of a camera.
_LONGEST_SIDE = 32
#: A file that ends so much sooner than it says was cut off.
_CUT_S = Fraction(1)
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
    digest, num_bytes = digest_of_file(path)
    with open_media(path) as container:
        stream = picture_stream(path, container)
        frame = next(decoded(container, stream), None)
        if frame is None:
            raise MediaError(f"{path}: has no picture that can be decoded; check that it is whole")
        width, height = (round_half_up(side) for side in displayed_size(frame, stream))
        colour_note, shown_notes = _colour_note(matrix_of(container, stream, frame)), tuple(_shown_notes(frame))
    if max(width, height) > _LONGEST_SIDE * min(width, height):
        raise MediaError(
            f"{path}: is shown as {width}x{height} px, a side more than {_LONGEST_SIDE} times the other; correct its "
            f"pixel aspect ratio: `ffmpeg -i {quote(str(path))} -vf setsar=1 square.mkv`"
        )
    pictures = shown_pictures(path)
    video = describe_picture(path, pictures)
    if pictures is None or video is None or pictures.num < 2 or video.frame_rate is None:
        raise MediaError(f"{path}: is a single still picture; name a video, which has at least 2 frames")
    facts = SourceFacts(
        sha256=digest,
        num_bytes=num_bytes,
        duration_s=_duration_s(pictures, video.frame_rate),
        frame_rate=video.frame_rate,
        width_px=width,
        height_px=height,
        has_sound=_has_sound(path, None),
        is_constant=video.is_constant,
        tracks=tuple(_tracks(path)),
        colour_note="" if is_wide(frame) else colour_note,
        shifts=pictures.shifts,
    )
    if facts.is_constant and not facts.shifts and turn_of(frame) == Turn():
        facts = replace(facts, chunk_codec=chunk_codec(path, pictures.num))
    _try_ends(path, facts)
    return replace(facts, notes=(*_notes(path, pictures, facts), *shown_notes))


def _notes(path: Path, pictures: Pictures, facts: SourceFacts) -> Iterator[str]:
    """What a user may not expect of the file."""
    if pictures.num_before:
        yield f"begins between two key frames; the {_count(pictures.num_before)} before the first one cannot be shown"
    if pictures.num_after:
        yield f"ends inside a group of pictures; the last {_count(pictures.num_after)} cannot be shown"
    if pictures.set_at_s:
        times = "once" if len(pictures.set_at_s) == 1 else f"{len(pictures.set_at_s)} times"
        yield f"sets its clock anew {times}, first after {float(pictures.set_at_s[0]):.1f} s; times count on from there"
    if pictures.damage.num:
        first_s = pictures.damage.first_s
        at = "" if first_s is None else f" after {max(0.0, float(first_s - pictures.start_s)):.1f} s"
        told = "a damaged packet" if pictures.damage.num == 1 else f"{pictures.damage.num} damaged packets"
        yield f"has {told}{at}; players hold the picture before"
    end_s = _end_s(path, facts.duration_s)
    if pictures.said_s is not None and pictures.said_s > end_s + _CUT_S:
        said = f"{float(pictures.said_s):.1f} s"
        yield f"is cut off: it says it is {said} long, and can be read up to {float(end_s):.1f} s"
    elif is_mp4(path) and boxes_of(path).cut is not None:
        yield f"is cut off: it can be read up to {float(end_s):.1f} s"


def _colour_note(matrix: Matrix) -> str:
    other = "bt709" if matrix.name == "bt601" else "bt601"
    told = {"bt601": "BT.601", "bt709": "BT.709"}[matrix.name]
    return (
        ""
        if matrix.is_told
        else f"says nothing of its colours; they are {told}, {matrix.why}, or set `extend.matrix: {other}`"
    )


def _shown_notes(frame: VideoFrame) -> Iterator[str]:
    """What is done to show the picture."""
    if is_wide(frame):
        yield "has the colours of BT.2020, HLG or PQ; they are brought to SDR of BT.709"
    if frame.interlaced_frame:
        yield "is interlaced; whole pictures are made of its fields"
    if has_alpha(frame):
        yield "has transparency; it is shown over black"


def _count(num: int) -> str:
    return "picture" if num == 1 else f"{num} pictures"


def _end_s(path: Path, picture_s: Fraction) -> Fraction:
    """When the longer of picture and sound ends."""
    end_s = picture_s
    with open_media(path) as container:
        stream = sound_stream(path, container)
        for packet in packets(container, stream) if stream is not None else ():
            if packet.size and packet.pts is not None:
                end_s = max(end_s, (packet.pts + (packet.duration or 0)) * (exact(packet.time_base) or Fraction(0)))
    return end_s


def digest_of_file(path: Path) -> tuple[str, int]:
    """sha256 of a file, and how many bytes it has. Raises MediaError: it cannot be read."""
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


def _tracks(path: Path) -> Iterator[bool]:
    with open_media(path) as container:
        num_tracks = len(container.streams.audio)
    for track in range(num_tracks):
        try:
            yield _has_sound(path, track)
        except MediaError:  # nobody may ask for this one
            yield False


def _has_sound(path: Path, track: int | None) -> bool:
    """Whether there is any; a stream that is announced and stays empty is none."""
    with open_media(path) as container:
        stream = sound_stream(path, container, track)
        return stream is not None and next(listen(path, container, stream), None) is not None


def _try_ends(path: Path, facts: SourceFacts) -> None:
    """Read what a render reads, and keep nothing of it."""
    footage = Footage(
        frame_rate=facts.frame_rate, width_px=facts.width_px, height_px=facts.height_px, shifts=facts.shifts
    )
    num_frames = facts.num_frames(facts.frame_rate)
    num_samples = int(facts.duration_s * _RATE_HZ)
    _exhaust(footage_frames(path, footage, 0, 1))
    _exhaust(footage_frames(path, footage, num_frames - 1, num_frames))
    if facts.has_sound:
        stop, shifts = min(_RATE_HZ, num_samples), facts.shifts
        _exhaust(footage_samples(path, sample_rate_hz=_RATE_HZ, start=0, stop=stop, shifts=shifts))
        start = max(0, num_samples - _HEARD_S * _RATE_HZ)
        _exhaust(footage_samples(path, sample_rate_hz=_RATE_HZ, start=start, stop=num_samples, shifts=shifts))


def _exhaust(values: Iterable[object]) -> None:
    deque(values, maxlen=0)


def _duration_s(pictures: Pictures, frame_rate: Fraction) -> Fraction:
    """From the first picture's beginning to the last one's end, in whole frames where the rate is constant."""
    in_frames_s = pictures.num / frame_rate
    # Containers that count milliseconds are off by less than this from whole frames.
    nearly_s = max(pictures.tick_s, Fraction(1, 1000))
    if not pictures.times or abs(pictures.span_s + 1 / frame_rate - in_frames_s) <= nearly_s:
        return in_frames_s
    return pictures.span_s + (pictures.last_ticks * pictures.tick_s or 1 / frame_rate)
