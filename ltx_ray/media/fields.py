"""Interlaced pictures made whole: two fields of half the lines, one shown after the other, become one picture.

FFmpeg's bwdif looks at the picture before and at the one after, so it answers one picture late.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import cast

import av
from av.filter import Graph
from av.video.frame import VideoFrame

_WHOLE = "mode=send_frame:parity=auto:deint=interlaced"


def whole_pictures(frames: Iterator[VideoFrame]) -> Iterator[tuple[VideoFrame, VideoFrame]]:
    """Each frame, and what is shown of it: itself, or where it is interlaced a picture made of its fields."""
    before: VideoFrame | None = None
    for frame in frames:
        if frame.interlaced_frame:
            yield from _woven(before, frame, frames)
            return
        yield frame, frame
        before = frame


def _woven(
    before: VideoFrame | None, first: VideoFrame, rest: Iterator[VideoFrame]
) -> Iterator[tuple[VideoFrame, VideoFrame]]:
    """From the first interlaced frame on; ``before`` is what came before, for the filter alone."""
    waiting: deque[VideoFrame] = deque()
    graph, kind, num_known = Graph(), None, 0

    def pulled() -> Iterator[tuple[VideoFrame, VideoFrame]]:
        nonlocal num_known
        while True:
            try:
                made = cast(VideoFrame, graph.pull())
            except (av.BlockingIOError, av.EOFError):
                return
            given = waiting.popleft()
            if num_known:
                num_known -= 1
            else:
                yield given, made

    def frames() -> Iterator[VideoFrame]:
        if before is not None:
            yield before
        yield first
        yield from rest

    num_known = 0 if before is None else 1
    for idx, frame in enumerate(frames()):
        if (now := (frame.width, frame.height, frame.format.name)) != kind:
            if kind is not None:
                graph.push(None)
                yield from pulled()
            graph, kind = _graph(frame), now
        waiting.append(frame)
        frame_time = frame.pts, frame.time_base
        frame.pts = idx
        graph.push(frame)
        frame.pts = frame_time[0]
        yield from pulled()
    graph.push(None)
    yield from pulled()


def _graph(frame: VideoFrame) -> Graph:
    graph = Graph()
    told = f"colorspace={int(frame.colorspace)}:range={int(frame.color_range)}"
    size = f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}"
    source = graph.add("buffer", f"{size}:time_base=1/1000:{told}")
    weave, sink = graph.add("bwdif", _WHOLE), graph.add("buffersink")
    source.link_to(weave)
    weave.link_to(sink)
    graph.configure()
    return graph
