"""What a player would show: the track it plays, turned and mirrored pictures, fields made whole."""

from __future__ import annotations

import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame

from ltx_ray.errors import MediaError
from ltx_ray.media.footage import footage_frames, footage_samples
from ltx_ray.media.probe import describe
from ltx_ray.media.source import read_source
from ltx_ray.spec.recipe import Footage
from tests.unit.media.foreign import write_foreign

DEFAULT = av.stream.Disposition.default


def write_tracks(path, loud, default, pictures=(60,), default_picture=0):
    """Half a second with a track of each loudness, and a stream of pictures of each grey."""
    with av.open(str(path), "w") as file:
        videos = [file.add_stream("libx264", rate=24) for _ in pictures]
        sounds = [file.add_stream("flac", rate=48_000) for _ in loud]
        for number, video in enumerate(videos):
            video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
            video.disposition = DEFAULT if number == default_picture else av.stream.Disposition(0)
        for number, sound in enumerate(sounds):
            sound.codec_context.layout = "stereo"
            sound.disposition = DEFAULT if number == default else av.stream.Disposition(0)
        for idx in range(12):
            for video, grey in zip(videos, pictures, strict=True):
                frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), grey, np.uint8), format="rgb24")
                frame.pts, frame.time_base = idx, Fraction(1, 24)
                file.mux(video.encode(frame))
            for sound, level in zip(sounds, loud, strict=True):
                samples = np.full((1, 4_000), round(level * 2**15), np.int16)
                frame = AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
                frame.sample_rate, frame.pts, frame.time_base = 48_000, idx * 2_000, Fraction(1, 48_000)
                file.mux(sound.encode(frame))
        for stream in (*videos, *sounds):
            file.mux(stream.encode(None))
    return path


def level(path, track=None):
    blocks = footage_samples(path, sample_rate_hz=48_000, start=4_800, stop=9_600, track=track)
    return round(float(np.concatenate(list(blocks), axis=1).mean()), 2)


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_the_track_that_players_play_is_heard_unless_another_is_named(tmp_path, suffix):
    path = write_tracks(tmp_path / f"film.{suffix}", (0.0, 0.25, 0.5), default=1)
    assert level(path) == 0.25
    assert [level(path, track) for track in range(3)] == [0.0, 0.25, 0.5]
    assert read_source(path).tracks == (True, True, True)
    with pytest.raises(MediaError, match=r"has no sound track 3; it has 3, counted from 0"):
        level(path, 3)
    assert level(write_tracks(tmp_path / f"none.{suffix}", (0.5, 0.25), default=None)) == 0.5


def test_the_picture_that_players_show_is_seen(tmp_path):
    path = write_tracks(tmp_path / "film.mkv", (0.5,), 0, pictures=(60, 200), default_picture=1)
    footage = Footage(frame_rate=Fraction(24), width_px=64, height_px=64)
    assert abs(next(footage_frames(path, footage, 3, 4)).mean() - 200) < 3
    assert describe(path).video.num_frames == 12


def corners(picture):
    """Which of the four colours is at the top left, top right, bottom left, bottom right."""
    height, width = picture.shape[:2]
    found = []
    for row in (height // 4, 3 * height // 4):
        for column in (width // 4, 3 * width // 4):
            red, green, blue = picture[row, column] > 128
            found.append(
                {(True, False, False): "R", (False, True, False): "G", (False, False, True): "B"}.get(
                    (bool(red), bool(green), bool(blue)), "W"
                )
            )
    return "".join(found)


#: a, b, c, d of the display matrix, and what is seen of R G / B W.
WAYS = {
    (1, 0, 0, 1): "RGBW",
    (-1, 0, 0, 1): "GRWB",
    (1, 0, 0, -1): "BWRG",
    (-1, 0, 0, -1): "WBGR",
    (0, 1, -1, 0): "BRWG",
    (0, -1, 1, 0): "GWRB",
    (0, 1, 1, 0): "RBGW",
    (0, -1, -1, 0): "WGBR",
}


@pytest.mark.parametrize("way", WAYS)
def test_pictures_are_turned_and_mirrored_in_all_eight_ways(tmp_path, way):
    picture = np.full((64, 128, 3), 255, np.uint8)
    picture[:32, :64], picture[:32, 64:], picture[32:, :64] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    path = write_foreign(tmp_path / "film.mp4", np.stack([picture] * 3), turned=90, options={"crf": "4"})
    content = path.read_bytes()
    before = struct.pack(">9i", 0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30)
    a, b, c, d = (side * 65536 for side in way)
    assert content.count(before) == 1
    path.write_bytes(content.replace(before, struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)))
    facts = read_source(path)
    assert (facts.width_px, facts.height_px) == ((64, 128) if way[0] == 0 else (128, 64))
    footage = Footage(frame_rate=Fraction(24), width_px=facts.width_px, height_px=facts.height_px)
    assert corners(next(footage_frames(path, footage, 0, 1))) == WAYS[way]


def woven(idx, height=128, width=128):
    """A bar that moves 4 px a picture; the second field shows it 2 px further."""
    picture = np.full((height, width, 3), 40, np.uint8)
    picture[0::2, 4 * idx : 4 * idx + 16] = 235
    picture[1::2, 4 * idx + 2 : 4 * idx + 18] = 235
    return picture


def combing(picture):
    """How far neighbouring lines differ more than lines of one field do."""
    lines = picture.astype(float).mean(axis=2)
    return float(np.abs(np.diff(lines, axis=0)).mean() - np.abs(lines[2:] - lines[:-2]).mean() / 2)


def write_interlaced(path, count=24, codec="libx264"):
    options = {"flags": "+ildct+ilme", "x264-params": "interlaced=1:tff=1:keyint=8:scenecut=0", "crf": "2"}
    if codec == "mpeg2video":
        options = {"flags": "+ildct+ilme", "g": "8", "q": "1"}
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 128, 128, "yuv420p"
        for idx in range(count):
            frame = av.VideoFrame.from_ndarray(woven(idx), format="rgb24")
            frame.pts, frame.time_base = idx, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "libx264"), ("ts", "libx264"), ("mkv", "mpeg2video")])
def test_fields_become_whole_pictures_and_every_picture_stays_at_its_time(tmp_path, suffix, codec):
    path = write_interlaced(tmp_path / f"film.{suffix}", codec=codec)
    footage = Footage(frame_rate=Fraction(25), width_px=128, height_px=128)
    assert "is interlaced; whole pictures are made of its fields" in read_source(path).notes
    assert read_source(path).duration_s == Fraction(24, 25)
    pictures = list(footage_frames(path, footage, 0, 24))
    assert combing(woven(5)) > 5
    assert all(combing(picture) < 1.5 for picture in pictures[1:])
    for idx, picture in enumerate(pictures):
        columns = np.flatnonzero(picture[32:96].mean(axis=(0, 2)) > 140)
        assert abs(columns.mean() - (4 * idx + 8)) < 3
    for idx in (0, 7, 8, 9, 15, 16, 23):
        assert np.array_equal(next(footage_frames(path, footage, idx, idx + 1)), pictures[idx])


def test_pictures_that_are_whole_stay_as_they_are(tmp_path):
    path = write_foreign(tmp_path / "film.mkv", np.stack([woven(idx) for idx in range(6)]), codec="ffv1")
    footage = Footage(frame_rate=Fraction(24), width_px=128, height_px=128)
    assert combing(next(footage_frames(path, footage, 3, 4))) > 5
    assert not any("interlaced" in note for note in read_source(path).notes)
