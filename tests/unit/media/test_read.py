from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from ltx_ray.errors import MediaError
from ltx_ray.media.audio import write_wav
from ltx_ray.media.probe import describe
from ltx_ray.media.read import exact, inside, read_frames, read_planes, read_ranges, read_samples


def test_frames_come_back_in_order_as_they_went_in(encode):
    # Smooth in space, so halving the chroma loses nothing; every picture another colour.
    colours = np.random.default_rng(2).integers(0, 256, (20, 1, 1, 3))
    frames = np.broadcast_to(colours, (20, 32, 32, 3)).astype(np.uint8)
    back = list(read_frames(encode(frames)))
    assert len(back) == 20
    for got, want in zip(back, frames, strict=True):
        assert got.shape == (32, 32, 3)
        assert got.dtype == np.uint8
        assert np.abs(got.astype(int) - want).max() <= 2


def test_frames_arrive_one_at_a_time(clip, encode):
    frames = read_frames(encode(clip(8)))
    first, second = next(frames), next(frames)
    frames.close()
    assert not np.array_equal(first, second)


def test_planes_have_no_padding(clip, encode):
    [planes] = read_planes(encode(clip(1, 50, 34)))
    assert [plane.shape for plane in planes] == [(34, 50), (17, 25), (17, 25)]


@pytest.mark.parametrize("codec", ["h264", "h265", "ffv1"])
@pytest.mark.parametrize("ranges", [[(0, 2), (3, 4)], [(59, 60)], [(5, 6), (50, 55)], [(49, 90)], [(70, 71)], []])
def test_ranges_hold_the_same_pictures_as_the_whole_file(codec, ranges, clip, encode):
    rate = Fraction(24000, 1001)
    chunk = encode(clip(75), rate, codec=codec, preset="ultrafast", gop_frames=7)
    whole = list(read_planes(chunk))
    wanted = [number for start, stop in ranges for number in range(start, min(stop, 75))]
    found = list(read_ranges(chunk, ranges, frame_rate=rate))
    assert [number for number, _ in found] == wanted
    for number, planes in found:
        assert all(np.array_equal(got, want) for got, want in zip(planes, whole[number], strict=True))


@pytest.mark.parametrize(
    ("matrix", "colour_range", "rgb"),
    [(1, 1, (255, 0, 0)), (6, 1, (233, 0, 2)), (1, 2, (239, 15, 15)), (2, 0, (233, 0, 2))],
)
def test_a_file_s_own_matrix_and_range_are_used_and_bt601_where_a_small_one_is_silent(
    tmp_path, matrix, colour_range, rgb
):
    path = tmp_path / "flat.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=24)
        context = stream.codec_context
        context.width = context.height = 16
        context.pix_fmt = "yuv420p"
        context.colorspace, context.color_range = matrix, colour_range
        planes = np.concatenate([np.full(256, 63), np.full(64, 102), np.full(64, 240)]).astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(planes.reshape(24, 16), format="yuv420p")
        frame.colorspace, frame.color_range = matrix, colour_range
        frame.pts = 0
        file.mux([*stream.encode(frame), *stream.encode(None)])
    [picture] = read_frames(path)
    assert np.abs(picture.reshape(-1, 3).astype(int) - rgb).max() <= 2


@pytest.fixture
def shifted(tmp_path):
    """``shifted(container, codec, start)``: 2000 loud samples whose first one is shown at sample ``start``."""

    def make(container, codec, start):
        path = tmp_path / "shifted"
        with av.open(str(path), "w", format=container) as file:
            stream = file.add_stream(codec, rate=48_000)
            stream.codec_context.layout = "stereo"
            frame = av.AudioFrame.from_ndarray(np.full((1, 4000), 16_000, np.int16), format="s16", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
            file.mux([*stream.encode(frame), *stream.encode(None)])
        return path

    return make


@pytest.mark.parametrize(("container", "codec"), [("matroska", "flac"), ("mp4", "flac"), ("nut", "pcm_s16le")])
def test_sound_that_starts_late_begins_with_silence(shifted, container, codec):
    path = shifted(container, codec, 480)
    samples = read_samples(path)
    assert samples.shape == (2, 2480)
    assert not samples[:, :480].any()
    assert samples[:, 480:].all()
    assert describe(path).audio.num_samples == 2480


def test_sound_before_time_zero_is_not_presented(shifted):
    assert read_samples(shifted("mov", "pcm_s16le", -480)).shape == (2, 1520)


@pytest.mark.parametrize(
    ("start", "stop", "kept"),
    [
        (0, None, [0, 1, 2, 3]),
        (7, None, [0, 1, 2, 3]),
        (-3, None, [3]),
        (-3, 1, [3]),
        (-9, None, []),
        (8, 10, [0, 1]),
        (8, 8, []),
        (9, 8, []),
    ],
)
def test_only_samples_between_zero_and_the_presented_end_are_kept(start, stop, kept):
    assert inside(np.arange(4)[None], start, stop).tolist() == [kept]


def test_a_file_without_picture_or_sound_says_so(clip, encode, tmp_path):
    with pytest.raises(MediaError, match="chunk0: has no sound"):
        read_samples(encode(clip(1)))
    write_wav([np.zeros((2, 100), np.float32)], tmp_path / "sound.wav", sample_rate_hz=48_000)
    with pytest.raises(MediaError, match=r"sound\.wav: has no picture"):
        next(read_frames(tmp_path / "sound.wav"))


def test_a_file_that_is_missing_or_no_media_is_one_sentence(tmp_path):
    with pytest.raises(MediaError, match=r"none\.mp4: cannot be read as media \(No such file or directory\)"):
        next(read_frames(tmp_path / "none.mp4"))
    (tmp_path / "text.mp4").write_text("hello")
    with pytest.raises(MediaError, match=r"text\.mp4: cannot be read as media \(Invalid data"):
        read_samples(tmp_path / "text.mp4")


def test_a_colon_in_a_relative_name_is_no_address(clip, encode, tmp_path, monkeypatch):
    encode(clip(1)).rename(tmp_path / "take:1.mp4")
    monkeypatch.chdir(tmp_path)
    from pathlib import Path

    assert len(list(read_frames(Path("take:1.mp4")))) == 1


class Rational:
    def __init__(self, numerator: int, denominator: int) -> None:
        self.numerator, self.denominator = numerator, denominator


def test_both_kinds_of_rational_and_every_kind_of_unset_are_understood():
    assert exact(Fraction(1, 24)) == exact(Rational(1, 24)) == Fraction(1, 24)
    assert [exact(value) for value in (None, Rational(0, 1), Rational(1, 0), Rational(0, 0))] == [None] * 4
