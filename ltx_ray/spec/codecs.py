"""How pictures and sound are coded: one row a codec, one a container. Whatever lists any of them derives from here.

A row that lacks a column is a TypeError. To add a codec: its row, and the function that says what its encoder is told.
Bytes of chunks depend on a row: what changes them raises the version of the stage that encodes (``spec.stages``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ltx_ray.spec.recipe import EncodeSettings

T = TypeVar("T", int, str)


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """What a user may choose of an encoder."""

    what: str  #: what a value is called in a sentence, with its article
    choices: Sequence[T]  #: whole numbers are a range of step 1
    default: T


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundSpec:
    sample_format: str  #: FFmpeg's name of how the encoder takes samples: "fltp" or "s32"
    bit_rate: Setting[int] | None  #: bits a second; None = it has none


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """A kind of file; its name is what file names end in."""

    muxer: str  #: FFmpeg's name
    options: Mapping[str, str]  #: what the muxer is told
    sound: str  #: the codec whose sound it presents to the sample


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecSpec:
    library: str  #: FFmpeg's name of the encoder
    stream: str  #: FFmpeg's name of what it makes
    chunk: str  #: the muxer of a chunk
    containers: tuple[str, ...]  #: the files that hold it
    crf: Setting[int] | None  #: quality; None = it has none
    presets: Setting[str] | None  #: time against size; None = it has none
    pix_fmt: str
    tag: str | None  #: the sample entry players look for; None = the container's own
    #: Packet i of a chunk is given decode time i - decode_lead; None = the library's own are right.
    decode_lead: int | None
    threads: int  #: of one chunk; fixed because it can change the bytes. Chunks are what runs in parallel.
    thread_type: str  #: "AUTO" or "SLICE"
    options: Callable[[EncodeSettings], dict[str, str]]  #: what the library is told, rate control included


def _x264(settings: EncodeSettings) -> dict[str, str]:
    """With mbtree 1 run in 15 differs, even on one thread; left to itself it chooses its algorithms by CPU."""
    params = "mbtree=0:open-gop=0:cpu-independent=1"
    return {"preset": str(settings.preset), "crf": str(settings.crf), "x264-params": params}


def _x265(settings: EncodeSettings) -> dict[str, str]:
    """Pool and frame threads are fixed, and no message says the settings."""
    params = f"open-gop=0:info=0:frame-threads=1:pools={settings.threads}:log-level=none"
    return {"preset": str(settings.preset), "crf": str(settings.crf), "x265-params": params}


def _ffv1(settings: EncodeSettings) -> dict[str, str]:
    return {"level": "3", "slices": "4", "slicecrc": "1"}


SOUND_CODECS: Mapping[str, SoundSpec] = {
    "aac": SoundSpec(
        sample_format="fltp", bit_rate=Setting("a number of bits a second", range(32_000, 512_001), 192_000)
    ),
    "flac": SoundSpec(sample_format="s32", bit_rate=None),
}

# The movie time scale rounds the edit list that hides AAC's priming: at the default of 1000 the sound comes out some
# samples long; 240000 is a multiple of 48000 and of every usual frame rate's numerator.
_MOV_OPTIONS = {"movflags": "+faststart", "movie_timescale": "240000"}
CONTAINERS: Mapping[str, ContainerSpec] = {
    "mp4": ContainerSpec(muxer="mp4", options=_MOV_OPTIONS, sound="aac"),
    # QuickTime's own comment atom counts its length in 16 bits; a metadata key does not.
    "mov": ContainerSpec(muxer="mov", options=_MOV_OPTIONS | {"movflags": "+faststart+use_metadata_tags"}, sound="aac"),
    # Matroska counts milliseconds, which cannot say where AAC's priming ends; FLAC has none.
    "mkv": ContainerSpec(muxer="matroska", options={}, sound="flac"),
}

_X26X_CRF = Setting("a whole number", range(52), 18)
#: "placebo" takes hours for nothing anybody sees.
_X26X_PRESETS = Setting(
    "an encoder preset",
    ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"),
    "medium",
)
CODECS: Mapping[str, CodecSpec] = {
    "h264": CodecSpec(
        library="libx264",
        stream="h264",
        chunk="mp4",
        containers=("mp4", "mov", "mkv"),
        crf=_X26X_CRF,
        presets=_X26X_PRESETS,
        pix_fmt="yuv420p",
        tag=None,
        decode_lead=None,
        threads=1,
        thread_type="AUTO",  # "SLICE" would make x264 cut pictures into slices, which costs quality
        options=_x264,
    ),
    "h265": CodecSpec(
        library="libx265",
        stream="hevc",
        chunk="mp4",
        containers=("mp4", "mov", "mkv"),
        crf=_X26X_CRF,
        presets=_X26X_PRESETS,
        pix_fmt="yuv420p",
        tag="hvc1",  # Apple's players refuse the muxer's own choice, hev1
        # x265 leaves decode times uninitialised in chunks shorter than its reordering depth, which H.265 limits to 16.
        decode_lead=16,
        threads=1,
        thread_type="AUTO",
        options=_x265,
    ),
    "ffv1": CodecSpec(
        library="ffv1",
        stream="ffv1",
        chunk="matroska",
        containers=("mkv",),
        crf=None,
        presets=None,
        pix_fmt="yuv420p",
        tag=None,
        decode_lead=None,
        threads=1,
        thread_type="SLICE",  # it knows no other way
        options=_ffv1,
    ),
}
