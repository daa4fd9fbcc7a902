"""What a media file is, as ``media.probe`` found it. Loads no media library, so that whoever asked a child process can
read its answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class ColourTags:
    """Names as FFmpeg spells them; None = the file does not say."""

    primaries: str | None
    transfer: str | None
    matrix: str | None
    range: str | None

    @property
    def is_bt709(self) -> bool:
        """All of BT.709, limited range."""
        return self == ColourTags("bt709", "bt709", "bt709", "limited")


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoDescription:
    codec: str  #: the container's tag where FFmpeg knows no such codec
    is_decodable: bool  #: there is a decoder for it
    codec_tag: str  #: the container's four characters; "" where it has none
    width_px: int
    height_px: int
    frame_rate: Fraction | None  #: None = one picture, and the container gives no rate
    num_frames: int
    #: Picture k is shown at k / frame_rate: exactly, or to the millisecond where the container counts those.
    is_constant: bool
    end_s: Fraction | None  #: when the last picture has been shown; None = the container gives no times
    pix_fmt: str | None
    colour: ColourTags


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioDescription:
    codec: str  #: as of a picture
    is_decodable: bool
    sample_rate_hz: int  #: 0 = nobody can say; where it changes, and the channels with it, as it begins
    num_channels: int
    start_s: Fraction  #: when the first sample is heard; below 0 = before the file begins
    num_samples: int  #: that a player presents, silence before the first included; 0 where nothing can be decoded


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaDescription:
    container: str  #: FFmpeg's name, "mov,mp4,m4a,3gp,3g2,mj2" for mp4
    duration_s: Fraction | None
    video: VideoDescription | None
    audio: AudioDescription | None
    is_faststart: bool | None  #: the index comes before the pictures; None where the container has no such order
    provenance: Mapping[str, object] | None  #: the comment tag, if it is a JSON object
    tags: Mapping[str, str]  #: names in lower case
