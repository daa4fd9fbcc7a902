"""What FFmpeg's own description of an open file says of its streams.

PyAV tells nothing of a stream without a decoder. And it must not be asked for channels in an order of the file's own
(AV_CHANNEL_ORDER_CUSTOM, as QuickTime writes 5.1): it frees them twice, which ends the process.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import av.logging
from av.container.input import InputContainer
from av.stream import Stream

#: Two blanks stand before no line of a tag, so no tag can look like this.
_LINE = re.compile(r"^  Stream #0:(\d+)\b.*?: (?:Audio|Video): (.*)$", re.MULTILINE)
_CODEC = re.compile(r"(\w+)")
_TAG = re.compile(r"\((\S{1,16}) / 0x[0-9A-F]+\)")
_SIZE = re.compile(r", (\d+)x(\d+)\b")
_SOUND = re.compile(r", (\d+) Hz, (?:(\d+) channels?(?: \(([^)]*)\))?|([^,]+))")


@dataclass(frozen=True, slots=True)
class Declared:
    """``names`` are those of channels in an order that has no name of its own; () = it has one, or they have none."""

    codec: str  #: FFmpeg's name, or the tag where FFmpeg knows no such codec
    size_px: tuple[int, int] = (0, 0)
    sample_rate_hz: int = 0
    num_channels: int = 0  #: 0 = not known, or the layout has a name
    names: tuple[str, ...] = ()


def declared(container: InputContainer, stream: Stream) -> Declared:
    """What is said of ``stream``."""
    for index, line in _LINE.findall(_description(container)):
        if int(index) == stream.index:
            return _read(line)
    return Declared("unknown")


def _read(line: str) -> Declared:
    codec, tag, size, sound = (pattern.search(line) for pattern in (_CODEC, _TAG, _SIZE, _SOUND))
    name = codec.group(1) if codec else "unknown"
    if name in ("none", "unknown"):
        name = tag.group(1) if tag else "unknown"
    rate_hz = num_channels = 0
    names: tuple[str, ...] = ()
    if sound:
        rate_hz, num_channels = int(sound.group(1)), int(sound.group(2) or 0)
        names = tuple(each.partition("@")[0] for each in (sound.group(3) or "").split("+") if each)
    size_px = (int(size.group(1)), int(size.group(2))) if size else (0, 0)
    return Declared(name, size_px, rate_hz, num_channels, names)


def _description(container: InputContainer) -> str:
    """FFmpeg writes it into its log, which PyAV keeps silent otherwise."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        said: str = container.dumps_format()  # type: ignore[attr-defined]  # missing in PyAV's stubs
        return said
    finally:
        av.logging.set_level(level)
