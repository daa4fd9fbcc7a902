"""Chunks and sound to one file. Picture packets are copied, never coded again; only their times are made new.

Chunks know nothing of each other, and their own decode times break as soon as one is shorter than the reordering depth.
So two passes over the packets: the first finds, over all chunks, how far decode order runs ahead of display order; the
second gives packet number i of the file dts = i - delay and pts = the frame's number, in units of 1/frame_rate. Between
the passes only frame numbers are kept. The file's bytes depend on the chunks, the sound and the recipe alone.
"""

from __future__ import annotations

import heapq
import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.audio.stream import AudioStream
from av.container.output import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from ltx_ray.errors import MediaError
from ltx_ray.media.audio import Sound, open_wav
from ltx_ray.media.open import open_media
from ltx_ray.media.sound import add_sound, sound_packets
from ltx_ray.media.write import create_media
from ltx_ray.spec.codecs import CODECS, CONTAINERS
from ltx_ray.spec.recipe import StitchRecipe


@dataclass(frozen=True, slots=True)
class _Chunk:
    """``display`` holds, for each packet in decode order, the number of its frame in display order."""

    path: Path
    display: array[int]
    codec: str
    picture: tuple[object, ...]  #: everything that must be the same in all chunks

    @property
    def delay(self) -> int:
        return max(packet_idx - frame_idx for packet_idx, frame_idx in enumerate(self.display))


def join_chunks(chunks: Sequence[Path], out: Path, *, recipe: StitchRecipe, sound: Path | None) -> None:
    """Write ``out`` from ``chunks`` in order and the sound of a WAV made by ``write_wav``; None = a silent film.

    The sound must be as long as the picture: floor(num_frames / frame_rate * sample rate) samples.
    ``out`` is whole only when this returns; its name need not end in anything particular.

    Raises:
        MediaError: chunks that do not fit each other, the recipe or the container; sound of another length.
    """
    if recipe.container not in CONTAINERS:
        raise MediaError(f"container: {recipe.container!r} is not known; it is one of {', '.join(CONTAINERS)}")
    container = CONTAINERS[recipe.container]
    parts = [_scan(path) for path in chunks]
    _check_chunks(parts, recipe)
    track = None if sound is None else _check_sound(open_wav(sound), recipe)
    with create_media(out, container.muxer, container.options) as target:
        if recipe.provenance is not None:
            target.metadata["comment"] = recipe.provenance
        with open_media(parts[0].path) as template:
            video = _add_picture(target, template.streams.video[0], recipe.frame_rate)
        audio = None if track is None else add_sound(target, track, recipe)
        target.start_encoding()
        for packet in _interleaved(parts, video, recipe.frame_rate, track, audio):
            target.mux_one(packet)


def _scan(path: Path) -> _Chunk:
    """Read a chunk's packet times and what it is made of."""
    with open_media(path) as chunk:
        if not chunk.streams.video:
            raise MediaError(f"{path}: chunk has no picture")
        stream = chunk.streams.video[0]
        context = stream.codec_context
        picture = (context.name, context.width, context.height, context.pix_fmt, context.extradata)
        packets = [(packet.pts, packet.is_keyframe) for packet in chunk.demux(stream) if packet.size]
        codec = context.codec.canonical_name
    times = [pts for pts, _ in packets if pts is not None]
    rank = {pts: frame_idx for frame_idx, pts in enumerate(sorted(times))}
    if not packets or len(rank) != len(packets):
        raise MediaError(f"{path}: chunk has {len(packets)} pictures at {len(rank)} times; make it again")
    if not packets[0][1]:
        raise MediaError(f"{path}: chunk does not start with a key frame; make it again")
    return _Chunk(path, array("l", (rank[pts] for pts in times)), codec, picture)


def chunk_codec(path: Path, num_frames: int) -> str:
    """The codec, a row of ``spec.codecs``, of a file that can be joined as it is; "" where it cannot.

    It is one whole chunk: it begins with a key frame, and every packet is one of its ``num_frames`` pictures.
    """
    try:
        chunk = _scan(path)
    except MediaError:
        return ""
    rows = (name for name, codec in CODECS.items() if codec.stream == chunk.codec)
    return next(rows, "") if len(chunk.display) == num_frames else ""


def _check_chunks(parts: Sequence[_Chunk], recipe: StitchRecipe) -> None:
    if not parts:
        raise MediaError(f"there is no chunk to join; the recipe wants {recipe.num_frames} frames")
    for part in parts[1:]:
        if part.picture != parts[0].picture:
            raise MediaError(
                f"{part.path}: chunk was encoded with other settings than {parts[0].path.name}; "
                "encode all chunks of a video alike"
            )
    holders = [name for codec in CODECS.values() if codec.stream == parts[0].codec for name in codec.containers]
    if recipe.container not in holders:
        raise MediaError(f"container: {recipe.container} does not hold {parts[0].codec}; {' or '.join(holders)} does")
    counts = [len(part.display) for part in parts]
    if sum(counts) != recipe.num_frames:
        listed = ", ".join(f"{part.path.name} {count}" for part, count in zip(parts, counts, strict=True))
        raise MediaError(f"chunks hold {sum(counts)} frames where the video has {recipe.num_frames}: {listed}")


def _check_sound(sound: Sound, recipe: StitchRecipe) -> Sound:
    exact = CONTAINERS[recipe.container].sound
    if recipe.audio_codec != exact:
        raise MediaError(
            f"audio_codec: {recipe.audio_codec!r} is not exact in {recipe.container}; nearest is {exact!r}"
        )
    wanted = math.floor(recipe.num_frames / recipe.frame_rate * sound.sample_rate_hz)
    if sound.num_samples != wanted:
        raise MediaError(
            f"{sound.path}: sound has {sound.num_samples} samples where {recipe.num_frames} frames at "
            f"{recipe.frame_rate} per second last {wanted}"
        )
    return sound


def _add_picture(target: OutputContainer, template: VideoStream, frame_rate: Fraction) -> VideoStream:
    # opaque: take the codec's parameters as they are, even where no encoder of that name exists.
    stream = target.add_stream_from_template(template, opaque=True)
    stream.time_base = 1 / frame_rate
    stream.codec_context.framerate = frame_rate
    if template.codec_context.codec_tag in {codec.tag for codec in CODECS.values()}:
        stream.codec_context.codec_tag = template.codec_context.codec_tag
    return stream


def _interleaved(
    parts: Sequence[_Chunk],
    video: VideoStream,
    frame_rate: Fraction,
    track: Sound | None,
    audio: AudioStream | None,
) -> Iterator[Packet[Any]]:
    """All packets in order of decode time."""
    picture = _picture_packets(parts, video, frame_rate)
    if track is None or audio is None:
        return picture
    return heapq.merge(picture, sound_packets(audio, track), key=_decode_time)


def _decode_time(packet: Packet[Any]) -> Fraction:
    assert packet.dts is not None
    return packet.dts * Fraction(packet.time_base.numerator, packet.time_base.denominator)


def _picture_packets(parts: Sequence[_Chunk], video: VideoStream, frame_rate: Fraction) -> Iterator[Packet[Any]]:
    delay = max(part.delay for part in parts)
    offset = 0
    for part in parts:
        with open_media(part.path) as chunk:
            packets = (packet for packet in chunk.demux(chunk.streams.video[0]) if packet.size)
            for packet_idx, (packet, frame_idx) in enumerate(zip(packets, part.display, strict=True)):
                packet.time_base = 1 / frame_rate
                packet.pts, packet.dts = offset + frame_idx, offset + packet_idx - delay
                packet.duration = 1
                packet.stream = video
                yield packet
        offset += len(part.display)
