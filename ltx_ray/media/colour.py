"""RGB to BT.709 limited-range YUV and back, with every argument of the conversion named.

Left to itself swscale takes BT.601, so a file tagged BT.709 comes out up to 28 levels wrong; and without full chroma
interpolation a flat colour is up to 4 levels off after a round trip instead of 2. One conversion thread: a renderer
has its own parallelism, and the bytes must not depend on a thread count.

BT.2020, HLG and PQ are brought to SDR by swscale's own colour management. Transparency is shown over black.
"""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter

from ltx_ray.errors import MediaError

#: AVColorSpace, AVColorPrimaries, AVColorTransferCharacteristic: 1 is BT.709 in all three (ITU-T H.273).
BT709 = 1
#: AVColorSpace, and what swscale knows it as; BT.470BG, SMPTE 170M and BT.601 are one.
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
}
#: AVColorSpace of BT.2020, AVColorPrimaries of BT.2020, AVColorTransferCharacteristic of PQ and HLG.
_BT2020_MATRICES, _BT2020_PRIMARIES, _HDR = (9, 10), 9, {16: "PQ", 18: "HLG"}
#: AVColorSpace of ICtCp and IPT, which swscale does not know.
_UNKNOWN = {14: "ICtCp", 15: "IPT-C2"}
_UNSAID = 2
_TO_SDR = "out_transfer=bt709:out_primaries=bt709:out_color_matrix=bt709:intent=perceptual"
_EXACT = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.BITEXACT
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)


def to_yuv(converter: VideoReformatter, picture: np.ndarray, pix_fmt: str) -> VideoFrame:
    """A uint8 RGB picture [height, width, 3] with even sides as a tagged BT.709 limited-range frame of ``pix_fmt``."""
    frame = converter.reformat(
        VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24"),
        format=pix_fmt,
        src_colorspace=Colorspace.ITU709,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
        interpolation=_EXACT,
        threads=1,
    )
    frame.color_primaries = ColorPrimaries.BT709
    frame.color_trc = ColorTrc.BT709
    return frame


def to_rgb(
    converter: VideoReformatter,
    frame: VideoFrame,
    size_px: tuple[int, int] | None = None,
    *,
    untagged: Colorspace = Colorspace.ITU709,
    forced: Colorspace | None = None,
) -> np.ndarray:
    """A decoded frame as uint8 RGB [height, width, 3].

    Args:
        size_px: (width, height) of the result, scaled in the same go; None = the frame's own.
        untagged: the matrix of a frame that does not say.
        forced: the matrix whatever the frame says.
    """
    matrix = forced or _MATRICES.get(frame.colorspace, untagged)
    if has_alpha(frame):
        frame, matrix = _over_black(frame, matrix), Colorspace.ITU709
    return _converted(converter, frame, size_px, "rgb24", matrix).to_ndarray()


def is_wide(frame: VideoFrame) -> bool:
    """Whether the frame shows more than SDR of BT.709 can."""
    return (
        frame.color_trc in _HDR
        or frame.colorspace in (*_BT2020_MATRICES, *_UNKNOWN)
        or (frame.color_primaries == _BT2020_PRIMARIES)
    )


def has_alpha(frame: VideoFrame) -> bool:
    return any(component.is_alpha for component in frame.format.components)


class ToSdr:
    """Frames of BT.2020, HLG and PQ as SDR of BT.709; a graph of filters is made once for all frames alike."""

    def __init__(self) -> None:
        self._kind: tuple[object, ...] = ()
        self._graph = Graph()

    def convert(self, frame: VideoFrame) -> VideoFrame:
        """Raises MediaError: the FFmpeg here cannot, or nobody can."""
        if (name := _UNKNOWN.get(frame.colorspace)) is not None:
            raise MediaError(f"its colours are {name}, which is not read; convert it to SDR or to HDR10 first")
        if frame.color_primaries == _UNSAID:
            frame.color_primaries = _BT2020_PRIMARIES
        if frame.color_trc == _UNSAID:
            frame.color_trc = BT709
        if frame.colorspace == _UNSAID:
            frame.colorspace = _BT2020_MATRICES[0]
        kind = frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range
        if kind != self._kind:
            self._kind, self._graph = kind, _graph(frame)
        frame.pts = None
        self._graph.push(frame)
        made = self._graph.pull()
        assert isinstance(made, VideoFrame)
        return made


def _graph(frame: VideoFrame) -> Graph:
    graph = Graph()
    matrix = 9 if frame.colorspace in _BT2020_MATRICES else int(frame.colorspace)
    told = f"colorspace={matrix}:range={int(frame.color_range)}"
    source = graph.add(
        "buffer",
        f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base={Fraction(1, 24)}:{told}",
    )
    try:
        scale = graph.add("scale", f"{_TO_SDR}:flags=bicubic+accurate_rnd+bitexact+full_chroma_int+full_chroma_inp")
    except (av.FFmpegError, ValueError):
        name = _HDR.get(frame.color_trc, "BT.2020")
        raise MediaError(
            f"its colours are {name}, and the `scale` filter of the FFmpeg here knows no `out_transfer`; convert it to "
            "SDR first, or install PyAV 16 or newer"
        ) from None
    sink = graph.add("buffersink")
    source.link_to(scale)
    scale.link_to(sink)
    graph.configure()
    return graph


def _over_black(frame: VideoFrame, matrix: Colorspace) -> VideoFrame:
    """A frame with transparency as RGB without."""
    picture = _converted(VideoReformatter(), frame, None, "rgba", matrix).to_ndarray().astype(np.uint16)
    shown = (picture[..., :3] * picture[..., 3:] + 127) // 255
    return VideoFrame.from_ndarray(shown.astype(np.uint8), format="rgb24")


def _converted(
    converter: VideoReformatter, frame: VideoFrame, size_px: tuple[int, int] | None, pix_fmt: str, matrix: Colorspace
) -> VideoFrame:
    width, height = size_px or (frame.width, frame.height)
    return converter.reformat(
        frame,
        width,
        height,
        format=pix_fmt,
        src_colorspace=matrix,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG if _is_full(frame) else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=_EXACT,
        threads=1,
    )


def _is_full(frame: VideoFrame) -> bool:
    """Whether black is 0; grey alone has no television range unless it says so, as FFmpeg takes it."""
    name = frame.format.name
    is_grey = name.startswith(("gray", "ya", "mono"))
    is_unsaid = frame.color_range not in (ColorRange.JPEG, ColorRange.MPEG)
    return frame.color_range == ColorRange.JPEG or name.startswith("yuvj") or (is_grey and is_unsaid)
