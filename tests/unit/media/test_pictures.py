"""Which pictures of a file count: captures that begin and end anywhere, joined clocks, cut and damaged files."""

from __future__ import annotations

import shutil
from fractions import Fraction

import av
import numpy as np
import pytest

from ltx_ray.errors import MediaError
from ltx_ray.media.footage import footage_frames, footage_samples
from ltx_ray.media.probe import describe
from ltx_ray.media.source import read_source
from ltx_ray.spec.recipe import Footage
from tests.unit.media.foreign import write_foreign

RATE = 24


def _picture(number):
    """A number as stripes of 8 px, black and white, the lowest bit on the left."""
    bits = [(number >> bit) & 1 for bit in range(8)]
    return np.repeat(np.repeat(np.array(bits, np.uint8) * 255, 8)[None], 32, axis=0)[..., None].repeat(3, axis=2)


NUMBERED = np.stack([_picture(number) for number in range(100)])
GROUPS = {"x264-params": "keyint=12:min-keyint=12:scenecut=0", "crf": "1"}


def film(path, numbers=range(100), **how):
    return write_foreign(path, NUMBERED[list(numbers)], rate=RATE, **({"options": GROUPS} | how))


def number(picture):
    bits = picture[8:24].reshape(16, 8, 8, 3)[:, :, 2:6].mean(axis=(0, 2, 3)) > 128
    return sum(1 << bit for bit, is_set in enumerate(bits) if is_set)


def shown(path):
    """Numbers of all pictures as this program sees the file, one by one from wherever it can seek."""
    facts = read_source(path)
    footage = Footage(frame_rate=Fraction(RATE), width_px=64, height_px=32, shifts=facts.shifts)
    count = facts.num_frames(Fraction(RATE))
    at_once = [number(picture) for picture in footage_frames(path, footage, 0, count)]
    sought = [number(next(footage_frames(path, footage, idx, idx + 1))) for idx in range(0, count, 7)]
    assert sought == at_once[::7]
    return at_once


def decoded(path):
    """Numbers of what decodes, by nothing of this program."""
    with av.open(str(path)) as container:
        found = []
        for packet in container.demux(video=0):
            try:
                found += [number(frame.to_ndarray(format="rgb24")) for frame in packet.decode()]
            except av.InvalidDataError:
                pass
        return found


def cut(path, start, stop, unit=188):
    """A part of a file, in shares of its bytes."""
    content = path.read_bytes()
    first, last = (int(len(content) * share) // unit * unit for share in (start, stop))
    part = path.with_name(f"part{path.suffix}")
    part.write_bytes(content[first:last])
    return part


@pytest.mark.parametrize(
    ("suffix", "how"),
    [
        ("ts", {}),
        ("ts", {"options": {**GROUPS, "x264-params": "keyint=12:min-keyint=12:scenecut=0:open-gop=1:bframes=3"}}),
        ("ts", {"codec": "mpeg2video", "options": {"g": "12", "bf": "2", "q": "1"}}),
        ("mpg", {"codec": "mpeg2video", "options": {"g": "12", "bf": "2", "q": "1"}}),
    ],
)
@pytest.mark.parametrize(("start", "stop"), [(0.22, 1.0), (0.0, 0.71), (0.37, 0.83)])
def test_a_capture_that_begins_and_ends_anywhere_shows_what_decodes(tmp_path, suffix, how, start, stop):
    part = cut(film(tmp_path / f"film.{suffix}", **how), start, stop, unit=1 if suffix == "mpg" else 188)
    found, wanted = shown(part), decoded(part)
    assert found[:-1] == [*range(found[0], found[0] + len(found) - 1)]  # half a picture may come out as the one before
    assert found[0] <= wanted[0] + 3 and abs(found[-1] - wanted[-1]) <= 1 and len(found) >= len(wanted) - 3
    assert describe(part).video.num_frames == len(found)
    if start:
        assert any("begins between two key frames" in note for note in read_source(part).notes)


def test_a_whole_file_has_no_notes(tmp_path):
    for suffix in ("ts", "mp4", "mkv"):
        path = film(tmp_path / f"film.{suffix}")
        assert shown(path) == [*range(100)]
        assert read_source(path).notes == ()


def clicks(times_s, length_s):
    sound = np.zeros((2, int(length_s * 48_000)), np.float32)
    for time_s in times_s:
        sound[:, int(time_s * 48_000) : int(time_s * 48_000) + 480] = 0.9
    return sound


def heard(path, facts):
    count = int(facts.duration_s * 48_000)
    blocks = footage_samples(path, sample_rate_hz=48_000, start=0, stop=count, shifts=facts.shifts)
    loud = np.flatnonzero(np.abs(np.concatenate(list(blocks), axis=1)[0]) > 0.4)
    return [round(float(at) / 48_000, 2) for at in loud[np.diff(loud, prepend=-48_000) > 4_800]]


@pytest.mark.parametrize("clock_s", [0, 3_000])
def test_where_files_were_joined_time_goes_on(tmp_path, clock_s):
    how = {"sound": clicks([0.5], 2), "sound_codec": "mp2", "sample_rate_hz": 48_000}
    first = film(tmp_path / "first.ts", range(48), **how)
    second = film(tmp_path / "second.ts", range(48, 96), clock_s=clock_s, **how)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes() + first.read_bytes())
    facts = read_source(joined)
    assert facts.duration_s == 6 and len(facts.shifts) == 2
    assert shown(joined) == [*range(96), *range(48)]
    assert all(abs(at - goal) < 0.06 for at, goal in zip(heard(joined, facts), (0.5, 2.5, 4.5), strict=True))
    (note,) = facts.notes
    assert note.startswith("sets its clock anew 2 times, first after 1.9") or "first after 2.0 s" in note


def test_bytes_after_the_end_of_a_film_are_none_of_it(tmp_path):
    whole = film(tmp_path / "film.mp4")
    for tail in (b"\0" * 5_000, bytes(range(256)) * 9, b"\xff" * 7, b"free"):
        path = tmp_path / "more.mp4"
        path.write_bytes(whole.read_bytes() + tail)
        assert shown(path) == [*range(100)]
        assert describe(path).is_faststart is not None


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "webm"])
def test_of_a_cut_file_the_beginning_is_used(tmp_path, suffix):
    codec = {"codec": "libvpx", "options": {"g": "12", "crf": "4", "b": "4M"}} if suffix == "webm" else {}
    whole = film(tmp_path / f"whole.{suffix}", **codec)
    if suffix == "mp4":
        fragmented = tmp_path / "film.mp4"
        with (
            av.open(str(whole)) as source,
            av.open(str(fragmented), "w", options={"movflags": "frag_keyframe+empty_moov"}) as target,
        ):
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    target.mux(packet)
        whole = fragmented
    for share in (0.5, 0.55, 0.57, 0.6):
        part = cut(whole, 0, share, unit=1)
        found = shown(part)
        assert found == [*range(len(found))] and 30 <= len(found) <= 75
    (note,) = (note for note in read_source(part).notes if "cut off" in note)
    if suffix == "mp4":
        assert note == f"is cut off: it can be read up to {len(found) / RATE:.1f} s"
    else:  # FFmpeg gives up where the index of a fragment is cut
        assert abs(found[-1] - decoded(part)[-1]) <= 1
        assert note == f"is cut off: it says it is 4.2 s long, and can be read up to {len(found) / RATE:.1f} s"


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts"])
def test_a_damaged_packet_is_passed_over(tmp_path, suffix):
    path = film(tmp_path / f"film.{suffix}", options={"crf": "1", "x264-params": "keyint=6:scenecut=0:bframes=0"})
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    position, size = packets[47]
    content = bytearray(path.read_bytes())
    content[position + 4 : position + size] = b"\xff" * (size - 4) if suffix != "ts" else bytes(size - 4)
    path.write_bytes(content)
    found = shown(path)
    assert len(found) == 100
    assert found[:46] == [*range(46)] and found[54:] == [*range(54, 100)]
    assert found[47] in (46, 47)


@pytest.mark.parametrize("name", ["film.txt", "film", "film.nfo", "film.png", "film.m3u8", "a:b.%03d.h264"])
def test_what_a_file_is_follows_from_what_is_in_it(tmp_path, name):
    shutil.copy(film(tmp_path / "film.mp4"), tmp_path / name)
    assert shown(tmp_path / name) == [*range(100)]


@pytest.mark.parametrize("name", ["story.txt", "story.nfo", "story.ans", "story.mp4", "story.h264"])
def test_a_text_is_no_film(tmp_path, name):
    (tmp_path / name).write_text("\x1b[1mOnce upon a time\x1b[0m\n" * 200)
    with pytest.raises(MediaError, match=r"cannot be read as media|has no picture"):
        read_source(tmp_path / name)


def test_streams_without_times_are_counted(tmp_path):
    film(tmp_path / "film.h264")
    (tmp_path / "film.h264").rename(tmp_path / "film")
    assert read_source(tmp_path / "film").num_frames(read_source(tmp_path / "film").frame_rate) == 100
