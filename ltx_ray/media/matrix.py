"""Which matrix turned RGB into a file's YUV, where the file does not say: what the programs that leave it out used.

DV, motion JPEG, H.261, H.263, MPEG-1 and their kin    BT.601, by definition
up to 1024x576                                         BT.601, as television of that size and all players take it
written by FFmpeg's libraries, any size                BT.601: swscale's own choice, which tools for generated films,
                                                       LTX-2's own among them, leave as it is
anything else                                          BT.709
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from av.container.input import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream

MatrixName = Literal["bt601", "bt709"]
MATRICES: dict[MatrixName, Colorspace] = {"bt601": Colorspace.ITU601, "bt709": Colorspace.ITU709}
#: AVColorSpace: what is no matrix but RGB, and what is not said.
_RGB, _UNSAID = 0, (2, 3)
_BY_DEFINITION = {
    *("dvvideo", "mjpeg", "mjpegb", "ljpeg", "amv", "h261", "h263", "h263i", "h263p", "flv1", "mpeg1video"),
    *("msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2", "rv10", "rv20", "svq1", "svq3", "cinepak"),
}
_LARGEST_SD_PX = (1024, 576)
_LIBRARIES = ("Lavf", "Lavc")


class Matrix(NamedTuple):
    """``told`` stands in the file or follows from its format; ``why`` is half of a sentence about a guess."""

    name: MatrixName
    is_told: bool
    why: str = ""


def matrix_of(container: InputContainer, stream: VideoStream, frame: VideoFrame) -> Matrix:
    """What holds for frames of the file that do not say; ``frame`` is one of them."""
    codec = stream.codec_context.codec.canonical_name
    if codec in _BY_DEFINITION:
        return Matrix("bt601", is_told=True)
    is_told = frame.colorspace not in _UNSAID or not _is_yuv(frame)
    sides = zip((frame.width, frame.height), _LARGEST_SD_PX, strict=True)
    if all(side <= largest for side, largest in sides):
        return Matrix("bt601", is_told, f"as films of up to {_LARGEST_SD_PX[0]}x{_LARGEST_SD_PX[1]} are")
    encoders = (*(value for key, value in container.metadata.items() if key.lower() == "encoder"),)
    encoders += tuple(value for key, value in stream.metadata.items() if key.lower() == "encoder")
    if any(library in encoder for encoder in encoders for library in _LIBRARIES):
        return Matrix("bt601", is_told, "as FFmpeg's libraries, which wrote it, take it where nothing is said")
    return Matrix("bt709", is_told, f"as films larger than {_LARGEST_SD_PX[0]}x{_LARGEST_SD_PX[1]} are")


def _is_yuv(frame: VideoFrame) -> bool:
    return not frame.format.is_rgb and len(frame.format.components) >= 3
