"""What planning learns of a video file, and files that are refused."""

from __future__ import annotations

from fractions import Fraction
from hashlib import sha256

import av
import numpy as np
import pytest

from ltx_ray.errors import MediaError
from ltx_ray.media.source import read_source
from tests.unit.media.foreign import write_foreign, write_sound_only


def test_facts_are_those_of_the_file(film):
    path = film(10, 7, frame_rate=Fraction(24000, 1001))
    facts = read_source(path)
    assert (facts.sha256, facts.num_bytes) == (sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
    assert (facts.frame_rate, facts.duration_s) == (Fraction(24000, 1001), 17 * Fraction(1001, 24000))
    assert (facts.width_px, facts.height_px, facts.has_sound) == (64, 64, True)
    assert facts.num_frames(facts.frame_rate) == 17


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(25), Fraction(60000, 1001)])
def test_a_constant_rate_gives_whole_frames_in_every_container(tmp_path, clip, suffix, rate):
    facts = read_source(write_foreign(tmp_path / f"film.{suffix}", clip(40), rate=rate))
    assert facts.num_frames(rate) == 40
    assert not facts.has_sound


def test_irregular_times_last_from_the_first_picture_to_the_end_of_the_last(tmp_path, clip):
    path = write_foreign(tmp_path / "film.mkv", clip(4), rate=25, times_ms=[500, 700, 740, 1500])
    assert Fraction(1) <= read_source(path).duration_s <= Fraction(1100, 1000)


def test_a_turned_picture_is_as_high_as_it_was_wide(tmp_path, clip):
    facts = read_source(write_foreign(tmp_path / "film.mp4", clip(3, 64, 32), turned=-90))
    assert (facts.width_px, facts.height_px) == (32, 64)


def test_odd_sides_are_no_obstacle(tmp_path, clip):
    path = write_foreign(tmp_path / "film.mkv", clip(3, 65, 33), codec="ffv1")
    assert (read_source(path).width_px, read_source(path).height_px) == (65, 33)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MediaError, match=r"gone\.mp4: there is no such file; name a video that is there"):
        read_source(tmp_path / "gone.mp4")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(MediaError, match="is a folder, not a file"):
        read_source(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a film", b"\0" * 5000])
def test_a_file_that_is_no_media_is_refused(tmp_path, content):
    (tmp_path / "film.mp4").write_bytes(content)
    with pytest.raises(MediaError, match=r"film\.mp4: cannot be read as media"):
        read_source(tmp_path / "film.mp4")


def test_a_file_that_was_cut_off_is_refused(film):
    path = film(30)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(MediaError, match=r"is cut off|cannot be read"):
        read_source(path)


def test_sound_alone_is_refused(tmp_path):
    with pytest.raises(MediaError, match=r"tune\.wav: has no picture"):
        read_source(write_sound_only(tmp_path / "tune.wav"))


@pytest.mark.parametrize(("name", "codec"), [("still.png", "png"), ("still.mp4", "libx264")])
def test_a_still_is_refused(tmp_path, clip, name, codec):
    path = tmp_path / name
    with av.open(str(path), "w", format="image2" if codec == "png" else None, options={"update": "1"}) as target:
        stream = target.add_stream(codec, rate=24)
        stream.width = stream.height = 64
        stream.pix_fmt = "rgb24" if codec == "png" else "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(clip(1)[0]), format="rgb24")
        frame.pts = 0
        target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    with pytest.raises(MediaError, match="is a single still picture; name a video, which has at least 2 frames"):
        read_source(path)
