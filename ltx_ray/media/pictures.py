"""Which pictures of a file are shown, and when: those that decode, from the first to the last of them.

A capture that begins or ends between two key frames holds packets that no decoder can show, and a packet may be
damaged. Whole files are not decoded to know that: packets say the times, and the first and last pictures are decoded.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container.input import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ltx_ray.media.clock import MPEG_STREAMS, Clock
from ltx_ray.media.open import Damage, decoded, exact, open_media, packets, picture_stream

#: The last picture is looked for from the key frame on that stands so far before the end.
_TAIL_S = 1
#: Packets before the place where two files were joined that may be marked as damaged.
_JOINT = 3
#: Formats whose head tells how long the whole is.
_TELLING = ("matroska,webm", "flv", "mov,mp4,m4a,3gp,3g2,mj2")


@dataclass(slots=True)
class Pictures:
    """Times are in ``tick_s`` from the first picture on, sorted; () = the file does not say them."""

    num: int
    tick_s: Fraction
    times: array[int] = field(default_factory=lambda: array("q"))
    last_ticks: int = 0  #: how long the last one is shown; 0 = not said
    start_s: Fraction = Fraction(0)  #: of the first one, on the file's own clock
    shifts: tuple[Fraction, ...] = ()  #: see ``media.clock``
    set_at_s: tuple[Fraction, ...] = ()  #: when the clock was set, from the first picture on
    num_before: int = 0  #: packets before the first picture, which cannot be shown
    num_after: int = 0  #: and after the last one
    damage: Damage = field(default_factory=Damage)
    said_s: Fraction | None = None  #: length of the file by its own head

    @property
    def span_s(self) -> Fraction:
        """From the first picture's beginning to the last one's."""
        return self.times[-1] * self.tick_s if self.times else Fraction(0)


def shown_pictures(path: Path) -> Pictures | None:
    """The pictures of a file; None = it has none that decodes.

    Raises:
        MediaError: it is no media file, or has no stream of pictures that can be decoded.
    """
    damage = Damage()
    with open_media(path) as container:
        stream = picture_stream(path, container)
        first = next(decoded(container, stream, damage), None)
    if first is None:
        return None
    with open_media(path) as container:
        found = _told(container, picture_stream(path, container), first, damage)
    if found is None:
        return _counted(path, damage)
    num_shown = int(np.searchsorted(np.array(found.times), _last_time(path, found), side="right"))
    if num_shown < found.num:
        found.num_after, found.last_ticks = found.num - num_shown, 0
        found.num, found.times = num_shown, found.times[:num_shown]
    return found


def _told(container: InputContainer, stream: VideoStream, first: VideoFrame, damage: Damage) -> Pictures | None:
    """What the packets say; None = not all of them say a time."""
    tick_s = exact(stream.time_base)
    if tick_s is None or first.pts is None:
        return None
    clock = Clock(container.format.name)
    is_joined = container.format.name in MPEG_STREAMS  # may be, and then the order of the file counts
    times, lengths, num_before = array("q"), array("q"), 0
    suspects: dict[int, Packet[Any]] = {}
    for packet in packets(container, stream):
        if not packet.size or packet.is_discard:
            continue
        if packet.pts is None:
            return None
        num_set, length = len(clock.shifts), packet.duration or 0
        if is_joined:
            clock.passes((packet.pts if packet.dts is None else packet.dts) * tick_s, length * tick_s)
        if packet.is_corrupt:
            suspects[len(times)] = packet
        if len(clock.shifts) > num_set:  # packets at a joint lack nothing but a number that counts them
            suspects = {idx: each for idx, each in suspects.items() if idx < len(times) - _JOINT}
        time = packet.pts - first.pts + round(clock.shift_s / tick_s)
        if time < 0 and not clock.shifts:
            num_before += 1
            continue
        times.append(time)
        lengths.append(length)
    for each in suspects.values():
        damage.at(each)
    if not times:
        return None
    order = np.argsort(np.array(times), kind="stable")
    shown = array("q", np.array(times)[order].tobytes())
    if not is_joined:
        shown = _on_one_clock(shown, np.array(lengths)[order], tick_s, clock)
    start_s = first.pts * tick_s
    return Pictures(
        num=len(times),
        tick_s=tick_s,
        times=shown,
        last_ticks=lengths[int(order[-1])],
        start_s=start_s,
        shifts=tuple(clock.shifts),
        set_at_s=tuple(at_s - start_s if is_joined else at_s for at_s in clock.set_at_s),
        num_before=num_before,
        damage=damage,
        said_s=None if clock.shifts else _said_s(container),
    )


def _on_one_clock(times: array[int], lengths: np.ndarray, tick_s: Fraction, clock: Clock) -> array[int]:
    """Times from 0 on, in order, as ``clock`` has them; it sees only those between which it might be set."""
    gaps = np.diff(np.array(times))
    if not (gaps > round(Clock.LEAST_GAP_S / tick_s)).any():
        return times
    passed = (clock.passes(time * tick_s, int(length) * tick_s) for time, length in zip(times, lengths, strict=True))
    return array("q", [round(time_s / tick_s) for time_s in passed])


def _said_s(container: InputContainer) -> Fraction | None:
    """The length that the file's head tells; None where FFmpeg guesses it from what is there."""
    told = container.duration if container.format.name in _TELLING else None
    return None if told is None else Fraction(told, 1_000_000)


def _last_time(path: Path, found: Pictures) -> int:
    """When the last picture that decodes is shown, as ``Pictures.times``."""
    last = None
    if not found.shifts:
        goal = found.times[-1] - round(_TAIL_S / found.tick_s)
        last = max(_times(path, found, goal), default=None)
    return max(_times(path, found, None), default=0) if last is None else last


def _times(path: Path, found: Pictures, goal: int | None) -> Iterator[int]:
    """Times of the pictures that decode, from the key frame before ``goal`` on; None = of all."""
    first = round(found.start_s / found.tick_s)
    with open_media(path) as container:
        stream = picture_stream(path, container)
        clock = Clock(container.format.name, found.shifts)
        if goal is not None:
            try:
                container.seek(first + max(0, goal), stream=stream)
            except (av.FFmpegError, OverflowError):
                return
        for frame in decoded(container, stream):
            if frame.pts is not None:
                shown_s = clock.passes(frame.pts * found.tick_s, Fraction(frame.duration or 0) * found.tick_s)
                yield round(shown_s / found.tick_s) - first


def _counted(path: Path, damage: Damage) -> Pictures:
    """Where packets do not say times, every picture is decoded."""
    with open_media(path) as container:
        stream = picture_stream(path, container)
        num = sum(1 for _ in decoded(container, stream, damage))
        return Pictures(num=num, tick_s=exact(stream.time_base) or Fraction(1, 1000), damage=damage)
