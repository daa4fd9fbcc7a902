from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from ltx_ray.errors import MediaError
from ltx_ray.media.audio import write_wav
from ltx_ray.media.probe import describe


def test_a_film_is_described_whole(film):
    description = describe(film(3, 5, frame_rate=Fraction(24000, 1001), provenance='{"seed": 7}'))
    video, audio = description.video, description.audio
    assert "mp4" in description.container
    assert (video.codec, video.width_px, video.height_px, video.num_frames) == ("h264", 64, 64, 8)
    assert (video.frame_rate, video.is_constant, video.pix_fmt) == (Fraction(24000, 1001), True, "yuv420p")
    assert video.colour.is_bt709
    assert (audio.codec, audio.num_samples) == ("aac", 16016)
    assert description.duration_s == Fraction(8 * 1001, 24000)
    assert description.provenance == {"seed": 7}
    assert description.is_faststart is True


@pytest.mark.parametrize("frame_rate", [Fraction(24000, 1001), Fraction(30), Fraction(60000, 1001), Fraction(25, 2)])
@pytest.mark.parametrize("num_frames", [1, 2, 40])
@pytest.mark.parametrize("codec", ["h264", "ffv1"])
def test_matroska_s_milliseconds_give_the_exact_rate_back(clip, encode, join, frame_rate, num_frames, codec):
    chunk = encode(clip(num_frames, 16, 16), frame_rate, codec=codec, preset="ultrafast")
    video = describe(join([chunk], num_frames=num_frames, frame_rate=frame_rate, container="mkv")).video
    assert video.frame_rate == frame_rate
    assert video.is_constant


@pytest.mark.parametrize("times", [[0, 1, 2, 4], [0, 1, 2.025, 3], [1, 2, 3, 4]])
@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_pictures_that_are_not_evenly_spaced_from_zero_are_not_constant(tmp_path, times, container):
    path = tmp_path / "uneven"
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.codec_context.time_base = Fraction(1, 1000)
        for k in times:
            frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = round(40 * k), Fraction(1, 1000)
            file.mux(stream.encode(frame.reformat(format="yuv420p")))
        file.mux(stream.encode(None))
    video = describe(path).video
    assert video.num_frames == 4
    assert not video.is_constant


def test_an_index_at_the_end_is_seen(clip, encode):
    assert describe(encode(clip(2))).is_faststart is False
    assert describe(encode(clip(2), codec="ffv1")).is_faststart is None


def test_a_last_part_that_reaches_to_the_end_of_the_file_is_whole(film, tmp_path):
    whole = film(2).read_bytes()
    start = whole.rindex(b"mdat") - 4
    (tmp_path / "open.mp4").write_bytes(whole[:start] + bytes(4) + whole[start + 4 :])
    description = describe(tmp_path / "open.mp4")
    assert description.is_faststart is True
    assert description.video.num_frames == 2


def test_a_bare_stream_without_times_is_counted_but_not_constant(tmp_path):
    path = tmp_path / "bare.h264"
    with av.open(str(path), "w", format="h264") as file:
        stream = file.add_stream("libx264", rate=24)
        stream.width = stream.height = 16
        for _ in range(3):
            file.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
        file.mux(stream.encode(None))
    video = describe(path).video
    assert video.num_frames == 3
    assert not video.is_constant


def test_sound_alone_is_described(tmp_path):
    write_wav([np.zeros((2, 4800), np.float32)], tmp_path / "sound", sample_rate_hz=48_000)
    description = describe(tmp_path / "sound")
    assert description.video is None
    assert description.audio.num_samples == 4800
    assert description.duration_s == Fraction(1, 10)


def test_colours_a_file_does_not_name_are_none(tmp_path):
    path = tmp_path / "plain.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 16
        file.mux([*stream.encode(av.VideoFrame(16, 16, "yuv420p")), *stream.encode(None)])
    colour = describe(path).video.colour
    assert (colour.primaries, colour.transfer, colour.matrix) == (None, None, None)
    assert not colour.is_bt709


@pytest.mark.parametrize("comment", ["shot on a rainy day", "[1, 2]", "7"])
def test_a_comment_that_is_no_json_object_is_a_tag_and_no_provenance(film, comment):
    description = describe(film(1, provenance=comment))
    assert description.provenance is None
    assert description.tags["comment"] == comment


def test_a_picture_file_is_one_frame(tmp_path):
    from PIL import Image

    Image.new("RGB", (20, 10)).save(tmp_path / "still.png")
    description = describe(tmp_path / "still.png")
    assert description.video.num_frames == 1
    assert (description.video.width_px, description.video.height_px) == (20, 10)
    assert description.audio is None


@pytest.mark.parametrize("kept", [0, 10])
def test_a_file_cut_before_its_first_part_ends_is_one_sentence(film, tmp_path, kept):
    path = tmp_path / "cut.mp4"
    path.write_bytes(film(4).read_bytes()[:kept])
    with pytest.raises(MediaError, match=r"cut\.mp4: cannot be read as media \(.*\); check that it is whole"):
        describe(path)


def test_a_file_cut_anywhere_later_is_found_out(film, tmp_path):
    path, whole = tmp_path / "cut.mp4", film(4).read_bytes()
    for kept in (40, 1000, len(whole) - 10):
        path.write_bytes(whole[:kept])
        with pytest.raises(MediaError, match=f"cut.mp4: is cut off at {kept} bytes; its part '(moov|mdat)' ends at"):
            describe(path)


@pytest.mark.parametrize("content", [b"", b"hello, this is text\n" * 50, bytes(5000)])
def test_what_is_no_media_file_is_one_sentence(tmp_path, content):
    path = tmp_path / "notes.mp4"
    path.write_bytes(content)
    with pytest.raises(MediaError, match="cannot be read as media"):
        describe(path)
    with pytest.raises(MediaError, match="No such file"):
        describe(tmp_path / "missing.mp4")
