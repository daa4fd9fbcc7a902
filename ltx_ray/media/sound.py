"""A sound on disk to coded packets of an open file, in blocks.

AAC puts priming samples before sample 0; its packets say so with negative times and the container hides them.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container.output import OutputContainer
from av.packet import Packet

from ltx_ray.errors import MediaError
from ltx_ray.media.audio import Sound
from ltx_ray.spec.codecs import SOUND_CODECS
from ltx_ray.spec.recipe import StitchRecipe

_LAYOUTS = {1: "mono", 2: "stereo"}
_FULL_SCALE_24 = 2**23


def add_sound(target: OutputContainer, sound: Sound, recipe: StitchRecipe) -> AudioStream:
    """Add the audio stream of ``recipe`` to ``target``; bit-exact mode keeps the coder's version out of the stream."""
    if sound.num_channels not in _LAYOUTS:
        raise MediaError(f"{sound.path}: sound has {sound.num_channels} channels; it must have 1 or 2")
    stream = target.add_stream(recipe.audio_codec, rate=sound.sample_rate_hz, options={"flags": "+bitexact"})
    assert isinstance(stream, AudioStream)
    stream.codec_context.layout = _LAYOUTS[sound.num_channels]
    codec = SOUND_CODECS[recipe.audio_codec]
    stream.codec_context.format = codec.sample_format
    if codec.bit_rate is not None:
        stream.codec_context.bit_rate = recipe.audio_bit_rate
    stream.time_base = Fraction(1, sound.sample_rate_hz)
    return stream


def sound_packets(stream: AudioStream, sound: Sound) -> Iterator[Packet[Any]]:
    """Encode ``sound`` a coder's frame at a time; the stream's container has written its header."""
    start = 0
    for block in sound.blocks(stream.codec_context.frame_size):
        frame = _frame(block, stream.codec_context.format.name, _LAYOUTS[sound.num_channels])
        frame.sample_rate = sound.sample_rate_hz
        frame.pts, frame.time_base = start, Fraction(1, sound.sample_rate_hz)
        start += block.shape[1]
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _frame(block: np.ndarray, sample_format: str, layout: str) -> AudioFrame:
    if sample_format == "fltp":
        return AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=layout)
    # FLAC keeps the upper 24 of 32 bits.
    whole = np.clip(np.rint(block.T.astype(np.float64) * _FULL_SCALE_24), -_FULL_SCALE_24, _FULL_SCALE_24 - 1)
    packed = (whole.astype(np.int32) << 8).reshape(1, -1)
    return AudioFrame.from_ndarray(packed, format="s32", layout=layout)
