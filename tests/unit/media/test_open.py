"""What is refused before a media library sees it, and files that claim more than they hold."""

from __future__ import annotations

import json
import os
import socket
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ltx_ray.errors import MediaError
from ltx_ray.media.open import MAX_PIXELS
from ltx_ray.media.probe import describe
from ltx_ray.media.source import read_source
from tests.unit.media.foreign import write_foreign

READERS = pytest.mark.parametrize("read", [describe, read_source])
PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n"
FIVE = np.zeros((5, 32, 32, 3), np.uint8)


@pytest.fixture
def pipe(tmp_path):
    path = tmp_path / "film.mp4"
    os.mkfifo(path)
    return path


@READERS
def test_a_pipe_is_not_waited_for(pipe, read):
    with pytest.raises(MediaError, match=r"film\.mp4: is a pipe, not a file; name a "):
        read(pipe)


@READERS
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_not_read_to_its_end(tmp_path, device, read):
    (tmp_path / "film.mp4").symlink_to(device)
    for path in (Path(device), tmp_path / "film.mp4"):
        with pytest.raises(MediaError, match="is a device, not a file; name a "):
            read(path)


@READERS
def test_sockets_and_folders_are_no_files_either(tmp_path, read):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        with pytest.raises(MediaError, match="is a socket, not a file; name a "):
            read(tmp_path / "s")
    with pytest.raises(MediaError, match="is a folder, not a file; name a "):
        read(tmp_path)


@READERS
@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        (
            "film.m3u8",
            "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n",
            "is an HLS playlist, not a media file; join",
        ),
        (
            "film.mp4",
            "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n",
            "is an HLS playlist, not a media file; join",
        ),
        ("film.txt", "ffconcat version 1.0\nfile {}\n", "is a list of files to join, not a media file; join"),
        ("film.sdp", "v=0\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n", "cannot be read as"),
    ],
)
def test_a_list_of_other_files_opens_none_of_them(tmp_path, pipe, name, content, what, read):
    """One of them could be a pipe, which is waited for, or an address."""
    path = tmp_path / "lists" / name
    path.parent.mkdir()
    path.write_text(content.format("../film.mp4"))
    with pytest.raises(MediaError, match=what):
        read(path)


def test_a_name_that_no_file_can_have_is_one_sentence():
    for name in ("a\0b.mp4", "x" * 300 + ".mp4"):
        with pytest.raises(MediaError, match="cannot be read as media"):
            describe(Path(name))


def test_remedies_name_the_file_as_a_shell_takes_it(tmp_path):
    path = tmp_path / "my list.m3u8"
    path.write_text("#EXTM3U\n")
    with pytest.raises(MediaError, match=rf"`ffmpeg -i '{path}' film\.mkv`"):
        describe(path)


def test_pictures_that_are_too_large_are_refused_before_they_are_decoded(tmp_path):
    from PIL import Image

    Image.new("L", (8192, MAX_PIXELS // 8192 + 1)).save(tmp_path / "large.png")
    with pytest.raises(MediaError, match=rf"large\.png: .* and its pictures not larger than {MAX_PIXELS} pixels"):
        read_source(tmp_path / "large.png")


@pytest.mark.parametrize("side", [30_000, 2_000_000_000])
def test_a_size_that_is_only_claimed_takes_no_memory(tmp_path, side):
    path = tmp_path / "film.y4m"
    path.write_bytes(f"YUV4MPEG2 W{side} H{side} F24:1 Ip C420\nFRAME\n".encode() + bytes(1000))
    for read in (describe, read_source):
        with pytest.raises(MediaError, match="cannot be read as media"):
            read(path)


def test_pixels_that_make_a_line_of_a_picture_are_refused(tmp_path):
    wide = np.zeros((5, 32, 128, 3), np.uint8)
    path = write_foreign(tmp_path / "film.mkv", wide, pixel_aspect=Fraction(20))
    with pytest.raises(MediaError, match=r"film\.mkv: is shown as 2560x32 px, a side more than 32 times the other"):
        read_source(path)
    assert read_source(write_foreign(tmp_path / "wide.mkv", wide, pixel_aspect=Fraction(4))).width_px == 512


@pytest.mark.parametrize("gap_s", [3_700, 36_000])
def test_a_clock_that_jumps_between_two_pictures_is_followed(tmp_path, gap_s):
    path = write_foreign(tmp_path / "film.mkv", FIVE, rate=25, times_ms=[0, 40, 80, gap_s * 1000, gap_s * 1000 + 40])
    facts = read_source(path)
    assert facts.duration_s == Fraction(1, 5)
    assert "sets its clock anew once, first after 0.1 s; times count on from there" in facts.notes


def test_a_picture_that_stands_for_minutes_is_footage(tmp_path):
    path = write_foreign(tmp_path / "film.mkv", FIVE, rate=25, times_ms=[0, 40, 80, 600_000, 600_040])
    assert 600 < read_source(path).duration_s < 601


@pytest.mark.parametrize("levels", [40, 500, 100_000])
def test_a_comment_nested_deeper_than_provenance_is_a_tag_like_any(tmp_path, levels):
    comment = '{"a":' * levels + "1" + "}" * levels
    description = describe(write_foreign(tmp_path / "film.mkv", FIVE, tags={"comment": comment}))
    assert description.provenance is None
    assert description.tags["comment"] == comment
    json.dumps(dict(description.tags))


def test_a_cover_is_no_picture(tmp_path):
    """Of a sound file; its own picture comes first in the file."""
    import av

    path = tmp_path / "tune.mp3"
    with av.open(str(path), "w") as target:
        sound = target.add_stream("libmp3lame", rate=44_100, layout="stereo")
        cover = target.add_stream("png", rate=1)
        cover.width = cover.height = 32
        cover.pix_fmt = "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(FIVE[0], format="rgb24")
        target.mux([*cover.encode(picture), *cover.encode(None)])
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1152), np.float32), format="fltp", layout="stereo")
        frame.sample_rate = 44_100
        target.mux([*sound.encode(frame), *sound.encode(None)])
    assert describe(path).video is None
    with pytest.raises(MediaError, match=r"tune\.mp3: has no picture; name a video"):
        read_source(path)
