"""RGB to BT.709 limited-range YUV and back, with every argument of the conversion named.

Left to itself swscale takes BT.601, so a file tagged BT.709 comes out up to 28 levels wrong; and without full chroma
interpolation a flat colour is up to 4 levels off after a round trip instead of 2. One conversion thread: a renderer
has its own parallelism, and the bytes must not depend on a thread count.
"""

from __future__ import annotations

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter

#: AVColorSpace, AVColorPrimaries, AVColorTransferCharacteristic: 1 is BT.709 in all three (ITU-T H.273).
BT709 = 1
#: AVColorSpace of the BT.601 family (BT.470BG, SMPTE 170M); swscale knows both as ITU601.
_BT601 = (5, 6)
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


def to_rgb(converter: VideoReformatter, frame: VideoFrame, size_px: tuple[int, int] | None = None) -> np.ndarray:
    """A decoded frame as uint8 RGB [height, width, 3]; what it does not say of itself is BT.709 limited.

    ``size_px`` is (width, height) of the result, scaled in the same go; None = the frame's own.
    """
    width, height = size_px or (frame.width, frame.height)
    full_range = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
    picture = converter.reformat(
        frame,
        width,
        height,
        format="rgb24",
        src_colorspace=Colorspace.ITU601 if frame.colorspace in _BT601 else Colorspace.ITU709,
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=_EXACT,
        threads=1,
    )
    return picture.to_ndarray()
