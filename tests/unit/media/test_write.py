from __future__ import annotations

import itertools
import weakref
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from ltx_ray.errors import Cancelled, MediaError, StoreError
from ltx_ray.media.probe import describe
from ltx_ray.media.read import read_planes
from ltx_ray.media.write import encode_chunk
from ltx_ray.spec.recipe import EncodeSettings

RATE = Fraction(24)
H264 = EncodeSettings(codec="h264", crf=20, preset="medium", gop_frames=12, threads=1, crop_px=None)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "chunk"


def test_frames_are_counted_however_they_arrive_and_the_bytes_are_the_same(clip, path):
    frames = clip(10)
    assert encode_chunk([frames], path, settings=H264, frame_rate=RATE) == 10
    at_once = path.read_bytes()
    pieces = iter([frames[:1], frames[1:8], frames[8:8], frames[8:]])
    assert encode_chunk(pieces, path, settings=H264, frame_rate=RATE) == 10
    assert path.read_bytes() == at_once


@pytest.mark.parametrize("codec", ["h264", "ffv1"])
@pytest.mark.parametrize("threads", [1, 2])
def test_fifteen_runs_give_the_same_bytes(clip, path, codec, threads):
    settings = replace(H264, codec=codec, threads=threads)
    seen = set()
    for _ in range(15):
        encode_chunk([clip(16)], path, settings=settings, frame_rate=RATE)
        seen.add(path.read_bytes())
    assert len(seen) == 1


@pytest.mark.parametrize(
    "setting", ["mbtree=0", "open_gop=0", "threads=3", "sliced_threads=0", "crf=20.0", "keyint=12"]
)
def test_x264_says_that_it_was_told_what_makes_its_bytes_repeatable(clip, path, setting):
    # With mbtree about 1 run in 15 of a large film differs: too rare to wait for here.
    encode_chunk([clip(2)], path, settings=replace(H264, threads=3), frame_rate=RATE)
    assert f" {setting} ".encode() in path.read_bytes()


def test_h265_bytes_depend_neither_on_the_run_nor_on_the_threads(clip, path):
    seen = set()
    for threads in (1, 1, 2):
        settings = replace(H264, codec="h265", threads=threads, preset="superfast")
        encode_chunk([clip(8)], path, settings=settings, frame_rate=RATE)
        seen.add(path.read_bytes())
    assert len(seen) == 1


@pytest.mark.parametrize("num_frames", [1, 2, 3])
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_chunks_shorter_than_the_reordering_depth_are_whole_and_the_same_every_time(clip, path, num_frames, codec):
    seen = set()
    for _ in range(5):
        encode_chunk([clip(num_frames)], path, settings=replace(H264, codec=codec), frame_rate=RATE)
        seen.add(path.read_bytes())
    assert len(seen) == 1
    video = describe(path).video
    assert (video.num_frames, video.frame_rate, video.is_constant) == (num_frames, RATE, True)


def test_decode_times_of_h265_do_not_come_from_the_library(clip, path):
    settings = replace(H264, codec="h265", preset="ultrafast")
    encode_chunk([clip(30, 16, 16)], path, settings=settings, frame_rate=RATE)
    with av.open(str(path)) as chunk:
        times = [packet.dts * packet.time_base * RATE for packet in chunk.demux(video=0) if packet.size]
    assert times == [packet_idx - 16 for packet_idx in range(30)]


def test_at_most_two_blocks_of_frames_are_alive_at_a_time(path):
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0

    def frames():
        nonlocal most
        for value in range(40):
            block = np.full((1, 16, 16, 3), value, np.uint8)
            alive.append(weakref.ref(block))
            most = max(most, sum(ref() is not None for ref in alive))
            yield block
            del block

    encode_chunk(frames(), path, settings=H264, frame_rate=RATE)
    assert most <= 2


@pytest.mark.parametrize(
    ("rgb", "yuv"),
    [
        ((255, 255, 255), (235, 128, 128)),
        ((0, 0, 0), (16, 128, 128)),
        ((255, 0, 0), (63, 102, 240)),
        ((0, 255, 0), (173, 42, 26)),
        ((0, 0, 255), (32, 240, 118)),
    ],
)
def test_colours_become_bt709_limited_range(path, rgb, yuv):
    flat = np.broadcast_to(np.array(rgb, np.uint8), (1, 16, 16, 3))
    encode_chunk([flat], path, settings=replace(H264, codec="ffv1"), frame_rate=RATE)
    [planes] = read_planes(path)
    assert [np.unique(plane).tolist() for plane in planes] == [[value] for value in yuv]


@pytest.mark.parametrize(("codec", "tag"), [("h264", "avc1"), ("h265", "hvc1"), ("ffv1", "")])
def test_a_chunk_says_its_colours_size_and_sample_entry(clip, path, codec, tag):
    settings = replace(H264, codec=codec, preset="ultrafast")
    encode_chunk([clip(2, 64, 48)], path, settings=settings, frame_rate=RATE)
    video = describe(path).video
    assert video.colour.is_bt709
    assert (video.width_px, video.height_px, video.pix_fmt) == (64, 48, "yuv420p")
    assert video.codec_tag == tag


@pytest.mark.parametrize("codec", ["h264", "h265", "ffv1"])
def test_every_gop_starts_with_a_key_frame_that_ends_all_reference(clip, path, codec):
    settings = replace(H264, codec=codec, gop_frames=6, preset="veryfast")
    encode_chunk([clip(18)], path, settings=settings, frame_rate=RATE)
    with av.open(str(path)) as chunk:
        packets = [packet for packet in chunk.demux(video=0) if packet.size]
    keys = [packet_idx for packet_idx, packet in enumerate(packets) if packet.is_keyframe]
    assert keys[0] == 0
    assert all(stop - start <= 6 for start, stop in itertools.pairwise([*keys, 18]))
    # Closed: whatever is decoded after a key frame is also shown after it.
    for key in keys:
        assert all(packet.pts > packets[key].pts for packet in packets[key + 1 :])


@pytest.mark.parametrize(
    ("crop", "rows", "columns"),
    [
        ((32, 16), slice(24, 40), slice(16, 48)),
        ((62, 60), slice(2, 62), slice(0, 62)),
        ((64, 64), slice(0, 64), slice(0, 64)),
    ],
)
def test_a_crop_keeps_the_centre_at_even_offsets(clip, encode, crop, rows, columns):
    frames = clip(2)
    cropped = list(read_planes(encode(frames, codec="ffv1", crop_px=crop)))
    expected = list(read_planes(encode(frames[:, rows, columns], codec="ffv1")))
    for got, want in zip(cropped, expected, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(got, want, strict=True))


def test_an_odd_frame_can_be_cropped_to_even_sides(clip, encode):
    video = describe(encode(clip(1, 65, 49), crop_px=(64, 48))).video
    assert (video.width_px, video.height_px) == (64, 48)


@pytest.mark.parametrize(
    ("change", "size", "text"),
    [
        ({"codec": "x264"}, (64, 64), "codec: 'x264' is not known; nearest is 'h264' of h264, h265, ffv1"),
        ({"preset": "fastest"}, (64, 64), "preset: 'fastest' is not known; nearest is 'faster'"),
        ({"crf": 60}, (64, 64), "crf: 60 is not 0..51; nearest is 51"),
        ({"gop_frames": 0}, (64, 64), "gop_frames: 0 is less than 1; nearest is 1"),
        ({"threads": 0}, (64, 64), "threads: 0 is less than 1; nearest is 1"),
        ({}, (65, 64), "frame size: 65x64 px has an odd side and yuv420p needs even ones; nearest crop is 64x64"),
        (
            {"crop_px": (63, 64)},
            (64, 64),
            "crop: 63x64 px must have even sides and fit the frame of 64x64 px; nearest is 62x64",
        ),
        (
            {"crop_px": (128, 48)},
            (64, 64),
            "crop: 128x48 px must have even sides and fit the frame of 64x64 px; nearest is 64x48",
        ),
        (
            {"crop_px": (0, 64)},
            (64, 64),
            "crop: 0x64 px must have even sides and fit the frame of 64x64 px; nearest is 2x64",
        ),
    ],
)
def test_what_cannot_be_encoded_is_refused_with_the_nearest_that_can(clip, path, change, size, text):
    with pytest.raises(MediaError) as refusal:
        encode_chunk([clip(1, *size)], path, settings=replace(H264, **change), frame_rate=RATE)
    assert str(refusal.value).startswith(text)
    assert not path.exists()


def test_no_frames_are_no_chunk(clip, path):
    for nothing in ([], [clip(0)]):
        with pytest.raises(MediaError, match="there is no frame to encode; a chunk holds at least 1"):
            encode_chunk(nothing, path, settings=H264, frame_rate=RATE)


def test_a_directory_that_is_not_there_is_a_storage_error(clip, tmp_path):
    with pytest.raises(StoreError, match="cannot be written"):
        encode_chunk([clip(1)], tmp_path / "no" / "chunk", settings=H264, frame_rate=RATE)


def test_what_stops_the_frames_comes_out_unchanged(clip, path):
    def frames():
        yield clip(1)
        raise Cancelled

    with pytest.raises(Cancelled):
        encode_chunk(frames(), path, settings=H264, frame_rate=RATE)
