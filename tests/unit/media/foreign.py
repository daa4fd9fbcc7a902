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
) -> Path:
    """A file of RGB ``frames`` [n, height, width, 3] and ``sound`` [channels, n], 1, 2 or 6 of them."""
    with av.open(str(path), "w") as target:
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
        audio = _add_sound(target, sound, sound_codec, sample_rate_hz) if sound is not None else None
        for idx, picture in enumerate(frames):
            frame = VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = idx if times_ms is None else times_ms[idx]
            frame.time_base = 1 / Fraction(rate) if times_ms is None else Fraction(1, 1000)
            target.mux(video.encode(frame))
        target.mux(video.encode(None))
        if audio is not None and sound is not None:
            _write_sound(target, audio, sound, sample_rate_hz)
    return path


def _add_sound(target: av.container.OutputContainer, sound: np.ndarray, codec: str, rate: int) -> AudioStream:
    stream = target.add_stream(codec, rate=rate)
    assert isinstance(stream, AudioStream)
    stream.codec_context.layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(sound)]
    return stream


def _write_sound(target: av.container.OutputContainer, stream: AudioStream, sound: np.ndarray, rate: int) -> None:
    layout = stream.codec_context.layout.name
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(sound, np.float32), format="fltp", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    converter = av.AudioResampler(format=stream.codec_context.format, layout=layout, rate=rate)
    for part in converter.resample(frame):
        target.mux(stream.encode(part))
    target.mux(stream.encode(None))


def write_sound_only(path: Path) -> Path:
    """A second of silence, and no picture."""
    with av.open(str(path), "w") as target:
        stream = target.add_stream("pcm_s16le", rate=48_000)
        assert isinstance(stream, AudioStream)
        stream.codec_context.layout = "mono"
        _write_sound(target, stream, np.zeros((1, 48_000), np.float32), 48_000)
    return path
