"""Files as other programs write them: any codec, rate, size, sound, turned, with irregular times."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream


def write_foreign(
    path: Path,
    frames: np.ndarray,
    *,
    rate: Fraction | int = 24,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    times_ms: Sequence[int] | None = None,
    turned: int = 0,
    pixel_aspect: Fraction | None = None,
    sound: np.ndarray | None = None,
    sound_codec: str = "aac",
    sample_rate_hz: int = 44100,
    layout: str | None = None,
    clock_s: int = 0,
    sound_late_s: int = 0,
    tags: dict[str, str] | None = None,
) -> Path:
    """A file of RGB ``frames`` [n, height, width, 3] and ``sound`` [channels, n].

    Args:
        layout: FFmpeg's name of what the channels are; None = the usual one of 1, 2 or 6.
        clock_s: what the file's clock shows at the first picture.
        sound_late_s: how much later the first sample is heard.
    """
    with av.open(str(path), "w") as target:
        target.metadata.update(tags or {})
        video = target.add_stream(codec, rate=rate, options=options or {})
        assert isinstance(video, VideoStream)
        video.height, video.width = frames.shape[1:3]
        video.pix_fmt = "yuv420p"
        if pixel_aspect:
            video.codec_context.sample_aspect_ratio = pixel_aspect
        if turned:
            video.set_display_rotation(turned)
        if times_ms is not None:
            video.codec_context.time_base = Fraction(1, 1000)
        audio = _add_sound(target, sound, sound_codec, sample_rate_hz, layout) if sound is not None else None
        for idx, picture in enumerate(frames):
            frame = VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = idx + int(clock_s * rate) if times_ms is None else times_ms[idx]
            frame.time_base = 1 / Fraction(rate) if times_ms is None else Fraction(1, 1000)
            target.mux(video.encode(frame))
        target.mux(video.encode(None))
        if audio is not None and sound is not None:
            _write_sound(target, audio, sound, sample_rate_hz, start=(clock_s + sound_late_s) * sample_rate_hz)
    return path


def _add_sound(
    target: av.container.OutputContainer, sound: np.ndarray, codec: str, rate: int, layout: str | None
) -> AudioStream:
    stream = target.add_stream(codec, rate=rate)
    assert isinstance(stream, AudioStream)
    stream.codec_context.layout = layout or {1: "mono", 2: "stereo", 6: "5.1"}[len(sound)]
    return stream


def _write_sound(
    target: av.container.OutputContainer, stream: AudioStream, sound: np.ndarray, rate: int, start: int = 0
) -> None:
    """Packed, because PyAV cannot write 8 and more planes."""
    layout = stream.codec_context.layout.name
    converter = av.AudioResampler(
        format=stream.codec_context.format, layout=layout, rate=rate, frame_size=stream.codec_context.frame_size
    )
    packed = np.ascontiguousarray(sound.T, np.float32).reshape(1, -1)
    frame = AudioFrame.from_ndarray(packed, format="flt", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    for part in [*converter.resample(frame), *converter.resample(None)]:
        part.pts += start
        part.time_base = Fraction(1, rate)
        target.mux(stream.encode(part))
    target.mux(stream.encode(None))


def write_sound_only(
    path: Path, sound: np.ndarray | None = None, codec: str = "pcm_s16le", layout: str = "mono"
) -> Path:
    """``sound`` [channels, n] at 48 kHz, a second of silence if it is None, and no picture."""
    sound = np.zeros((1, 48_000), np.float32) if sound is None else sound
    with av.open(str(path), "w") as target:
        stream = _add_sound(target, sound, codec, 48_000, layout)
        _write_sound(target, stream, sound, 48_000)
    return path


def write_other_order(path: Path, frames: np.ndarray, sound: np.ndarray) -> Path:
    """A QuickTime film whose 5.1 is in the order L R Ls Rs C LFE, as older editing programs write it.

    FFmpeg's own writer knows the order L R C LFE Ls Rs alone, so the tag of the order is written over its.
    """
    write_foreign(path, frames, codec="mpeg4", sound=sound, sound_codec="pcm_s16le", layout="5.1(side)")
    content = path.read_bytes()
    before, after = (b"chan" + bytes(4) + (tag << 16 | 6).to_bytes(4, "big") for tag in (121, 122))
    assert before in content
    path.write_bytes(content.replace(before, after))
    return path


def without_decoder(path: Path, known: bytes, other: bytes) -> Path:
    """The same file with another name of its codec, which nobody knows."""
    content = path.read_bytes()
    assert known in content
    path.write_bytes(content.replace(known, other))
    return path
