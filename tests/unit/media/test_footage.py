"""Any file as footage of a given rate and size: which picture, in which place, and which samples."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ltx_ray.errors import MediaError
from ltx_ray.media.footage import footage_frames, footage_samples
from ltx_ray.media.read import read_frames, read_samples
from ltx_ray.spec.recipe import Footage
from tests.unit.media.foreign import write_foreign, write_sound_only

LOSSLESS = {"crf": "0", "x264-params": "keyint=12"}


def seen_as(rate, width=64, height=64):
    return Footage(frame_rate=Fraction(rate), width_px=width, height_px=height)


def frames_of(path, footage, start, stop):
    return np.stack(list(footage_frames(path, footage, start, stop)))


def samples_of(path, start, stop, rate=48_000):
    return np.concatenate(list(footage_samples(path, sample_rate_hz=rate, start=start, stop=stop)), axis=1)


def greys(*levels, width=32, height=32):
    """Pictures of one grey each, far enough apart that a codec cannot confuse them."""
    return np.stack([np.full((height, width, 3), level, np.uint8) for level in levels])


def levels_of(frames):
    return [round(float(frame.mean())) for frame in frames]


def near(levels, expected):
    return len(levels) == len(expected) and all(abs(a - b) <= 3 for a, b in zip(levels, expected, strict=True))


def click_times(samples, rate):
    loud = np.flatnonzero(np.abs(samples[0]) > 0.2)
    return [int(at) for at in loud[np.diff(loud, prepend=-rate) > rate // 10]]


@pytest.mark.parametrize(
    ("suffix", "rate", "codec", "options"),
    [
        ("mp4", 24, "libx264", LOSSLESS),
        ("mp4", Fraction(30000, 1001), "libx264", {**LOSSLESS, "x264-params": "keyint=12:open-gop=1"}),
        ("mkv", Fraction(24000, 1001), "libx264", LOSSLESS),
        ("mkv", 60, "libx264", LOSSLESS),
        ("mp4", 25, "libx265", {"x265-params": "log-level=none:keyint=12"}),
        ("webm", 30, "libvpx-vp9", {"g": "12", "deadline": "realtime"}),
        ("ts", 25, "libx264", LOSSLESS),
    ],
)
def test_at_its_own_rate_and_size_footage_is_the_file_picture_by_picture(tmp_path, clip, suffix, rate, codec, options):
    path = write_foreign(tmp_path / f"film.{suffix}", clip(50), rate=rate, codec=codec, options=options)
    own = np.stack(list(read_frames(path)))
    np.testing.assert_array_equal(frames_of(path, seen_as(rate), 0, 50), own)
    np.testing.assert_array_equal(frames_of(path, seen_as(rate), 41, 50), own[41:])


def test_past_the_end_the_last_picture_stands_still(tmp_path):
    path = write_foreign(tmp_path / "film.mp4", greys(0, 80, 160))
    assert near(levels_of(footage_frames(path, seen_as(24), 1, 6)), [80, 160, 160, 160, 160])
    assert near(levels_of(footage_frames(path, seen_as(24), 100, 102)), [160, 160])


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (24, [0, 60, 120, 180]),
        (48, [0, 0, 60, 60, 120, 120, 180, 180]),
        (12, [0, 120]),
        (30, [0, 0, 60, 120, 180]),
        (16, [0, 60, 180]),
    ],
)
def test_at_another_rate_pictures_are_those_on_the_screen_at_the_time(tmp_path, rate, expected):
    path = write_foreign(tmp_path / "film.mp4", greys(0, 60, 120, 180))
    assert near(levels_of(footage_frames(path, seen_as(rate), 0, len(expected))), expected)


def test_pictures_at_irregular_times_are_taken_by_their_times(tmp_path):
    path = write_foreign(tmp_path / "film.mkv", greys(0, 60, 120, 180), rate=25, times_ms=[0, 200, 240, 400])
    assert near(levels_of(footage_frames(path, seen_as(10), 0, 5)), [0, 0, 60, 120, 180])


def test_times_count_from_the_first_picture(tmp_path):
    path = write_foreign(tmp_path / "film.mkv", greys(0, 60, 120), rate=25, times_ms=[1000, 1100, 1200])
    assert near(levels_of(footage_frames(path, seen_as(10), 0, 3)), [0, 60, 120])


def test_a_start_deep_in_a_file_is_sought_and_gives_the_same_pictures(tmp_path, clip):
    path = write_foreign(tmp_path / "film.mp4", clip(300, 32, 32), options={"crf": "0", "x264-params": "keyint=25"})
    own = np.stack(list(read_frames(path)))
    for start in (1, 24, 25, 26, 249, 263, 298):
        np.testing.assert_array_equal(frames_of(path, seen_as(24, 32, 32), start, start + 2), own[start : start + 2])


def test_a_wider_picture_fills_the_size_and_loses_its_sides_alike(tmp_path):
    frames = greys(100, 100, width=128, height=64)
    frames[:, :, :16], frames[:, :, -16:], frames[:, :, 56:72] = 0, 0, 250
    path = write_foreign(tmp_path / "film.mp4", frames, options=LOSSLESS)
    (seen,) = footage_frames(path, seen_as(24, 32, 32), 0, 1)
    columns = seen.mean((0, 2))
    assert columns[0] > 60
    assert abs(columns - columns[::-1]).max() <= 3
    assert columns[13:19].min() > 240


def test_a_smaller_picture_is_enlarged(tmp_path):
    path = write_foreign(tmp_path / "film.mp4", greys(90, width=32, height=16), options=LOSSLESS)
    (seen,) = footage_frames(path, seen_as(24, 96, 128), 0, 1)
    assert seen.shape == (128, 96, 3)
    assert abs(seen.astype(int) - 90).max() <= 3


def test_a_turned_picture_stands_upright(tmp_path):
    frames = greys(40, width=64, height=32)
    frames[:, :16, :32] = 220  # upper left
    path = write_foreign(tmp_path / "film.mp4", frames, turned=90, options=LOSSLESS)
    (seen,) = footage_frames(path, seen_as(24, 32, 64), 0, 1)
    assert seen[40:, :12].mean() > 200  # turned against the clock: lower left
    assert seen[:28].mean() < 60
    assert seen[40:, 20:].mean() < 60


def test_stretched_pixels_are_shown_as_wide_as_a_player_does(tmp_path):
    frames = greys(40, width=32, height=32)
    frames[:, :, 8:24] = 220
    path = write_foreign(tmp_path / "film.mp4", frames, pixel_aspect=Fraction(2), options=LOSSLESS)
    (seen,) = footage_frames(path, seen_as(24, 64, 32), 0, 1)
    assert seen[:, 20:44].mean() > 200
    assert seen[:, :12].mean() < 60


def test_colours_are_read_as_the_file_says_them(film, clip):
    path = film(4)
    assert np.abs(frames_of(path, seen_as(24), 0, 4).astype(int) - clip(4)).mean() < 6


@pytest.mark.parametrize(
    ("suffix", "codec", "rate"), [("mp4", "aac", 44100), ("mkv", "aac", 44100), ("mkv", "flac", 48000)]
)
def test_sound_is_resampled_in_its_place_wherever_reading_begins(tmp_path, suffix, codec, rate):
    sound = np.zeros((2, 3 * rate), np.float32)
    for at in (0.25, 1.25, 2.5):
        sound[:, int(at * rate) : int(at * rate) + 40] = 0.6
    path = write_foreign(
        tmp_path / f"film.{suffix}", greys(*[50] * 72), sound=sound, sound_codec=codec, sample_rate_hz=rate
    )
    whole = samples_of(path, 0, 3 * 48_000)
    assert whole.shape == (2, 144_000)
    assert all(abs(a - b) <= 12 for a, b in zip(click_times(whole, 48_000), (12_000, 60_000, 120_000), strict=True))
    assert np.abs(samples_of(path, 100_000, 140_000) - whole[:, 100_000:140_000]).max() < 1e-4


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "aac"), ("mkv", "flac"), ("mkv", "libopus")])
def test_at_its_own_rate_sound_is_the_file_sample_by_sample(tmp_path, suffix, codec):
    sound = np.random.default_rng(1).uniform(-0.5, 0.5, (2, 96_000)).astype(np.float32)
    path = write_foreign(
        tmp_path / f"film.{suffix}", greys(*[9] * 48), sound=sound, sound_codec=codec, sample_rate_hz=48_000
    )
    np.testing.assert_array_equal(samples_of(path, 0, 96_000), read_samples(path)[:, :96_000])


def test_one_channel_is_heard_on_both_sides_as_loud_as_it_was(tmp_path):
    sound = np.full((1, 48_000), 0.5, np.float32)
    path = write_foreign(
        tmp_path / "film.mkv", greys(*[9] * 24), sound=sound, sound_codec="flac", sample_rate_hz=48_000
    )
    assert np.abs(samples_of(path, 0, 48_000) - 0.5).max() < 1e-3


def test_surround_is_mixed_down_to_both_sides(tmp_path):
    sound = np.zeros((6, 48_000), np.float32)
    sound[2] = 0.4  # the centre
    path = write_foreign(
        tmp_path / "film.mkv", greys(*[9] * 24), sound=sound, sound_codec="flac", sample_rate_hz=48_000
    )
    mixed = samples_of(path, 0, 48_000)
    assert mixed.shape == (2, 48_000)
    np.testing.assert_array_equal(mixed[0], mixed[1])
    assert mixed[0, 24_000] == pytest.approx(0.4 * 0.7071 / (1 + 2 * 0.7071), abs=1e-4)


def test_where_a_file_has_no_sound_there_is_silence(tmp_path):
    path = write_foreign(tmp_path / "film.mp4", greys(1, 2))
    assert samples_of(path, -100, 200_000).shape == (2, 200_100)
    assert not samples_of(path, 0, 1000).any()


def test_sound_that_ends_early_goes_on_in_silence(tmp_path):
    sound = np.full((2, 24_000), 0.5, np.float32)
    path = write_foreign(
        tmp_path / "film.mkv", greys(*[9] * 24), sound=sound, sound_codec="flac", sample_rate_hz=48_000
    )
    samples = samples_of(path, -1000, 48_000)
    assert samples.shape == (2, 49_000)
    assert not samples[:, :1000].any()
    assert not samples[:, 25_000:].any()
    assert np.abs(samples[:, 1000:25_000] - 0.5).max() < 1e-3


def test_nothing_asked_for_is_nothing(tmp_path):
    path = write_foreign(tmp_path / "film.mp4", greys(1))
    assert list(footage_frames(path, seen_as(24), 3, 3)) == []
    assert list(footage_samples(path, sample_rate_hz=48_000, start=5, stop=5)) == []


def test_a_file_without_a_picture_is_refused(tmp_path):
    with pytest.raises(MediaError, match="has no picture"):
        list(footage_frames(write_sound_only(tmp_path / "tune.wav"), seen_as(24), 0, 1))
