from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from ltx_ray.errors import MediaError
from ltx_ray.media.audio import write_wav
from ltx_ray.media.join import join_chunks
from ltx_ray.media.probe import describe
from ltx_ray.media.read import read_planes, read_samples
from ltx_ray.spec.recipe import StitchRecipe

RATES = [Fraction(24000, 1001), Fraction(25), Fraction(30), Fraction(50), Fraction(60000, 1001)]


def same_planes(first, second):
    pairs = list(itertools.zip_longest(read_planes(first), read_planes(second), fillvalue=()))
    return all(len(a) == len(b) and all(map(np.array_equal, a, b)) for a, b in pairs)


def packets(path):
    with av.open(str(path)) as file:
        return [packet for packet in file.demux(video=0) if packet.size]


@pytest.mark.parametrize("frame_rate", RATES)
@pytest.mark.parametrize("counts", [(24,), (1, 2, 9, 12), (1,) * 5])
@pytest.mark.parametrize(("codec", "container", "audio_codec"), [("h264", "mp4", "aac"), ("ffv1", "mkv", "flac")])
def test_joined_chunks_are_the_film_in_one_piece(clip, encode, film, frame_rate, counts, codec, container, audio_codec):
    joined = film(*counts, codec=codec, frame_rate=frame_rate, container=container, audio_codec=audio_codec)
    assert same_planes(joined, encode(clip(sum(counts)), frame_rate, codec=codec))
    video = describe(joined).video
    assert (video.frame_rate, video.num_frames, video.is_constant) == (frame_rate, sum(counts), True)
    assert video.colour.is_bt709


@pytest.mark.parametrize("frame_rate", RATES)
def test_picture_times_in_mp4_are_exact_and_decode_times_never_pass_them(film, frame_rate):
    found = packets(film(1, 1, 7, 2, 5, frame_rate=frame_rate))
    assert sorted(packet.pts * packet.time_base for packet in found) == [k / frame_rate for k in range(16)]
    assert all(a.dts < b.dts for a, b in itertools.pairwise(found))
    assert all(packet.dts <= packet.pts for packet in found)


def test_h265_packets_are_copied_and_keep_the_sample_entry_of_apple(clip, encode, join):
    frames = clip(9)
    chunks = [encode(part, codec="h265", crf=28, preset="ultrafast") for part in (frames[:1], frames[1:5], frames[5:])]
    joined = join(chunks, num_frames=9)
    copied = itertools.chain.from_iterable(read_planes(chunk) for chunk in chunks)
    for got, want in zip(read_planes(joined), copied, strict=True):
        assert all(map(np.array_equal, got, want))
    assert describe(joined).video.codec_tag == "hvc1"


def test_every_picture_can_be_sought(film, clip, encode):
    joined = film(3, 1, 8, frame_rate=Fraction(30000, 1001))
    expected = list(read_planes(encode(clip(12))))
    with av.open(str(joined)) as file:
        stream = file.streams.video[0]
        for wanted in (11, 3, 0, 7):
            pts = int(wanted / Fraction(30000, 1001) / stream.time_base)
            file.seek(pts, stream=stream)
            frame = next(frame for frame in file.decode(stream) if frame.pts >= pts)
            assert frame.pts == pts
            assert np.array_equal(frame.to_ndarray()[:64], expected[wanted][0])


@pytest.mark.parametrize(("container", "audio_codec"), [("mp4", "aac"), ("mov", "aac"), ("mkv", "flac")])
@pytest.mark.parametrize(("frame_rate", "num_frames"), [(rate, 13) for rate in RATES] + [(Fraction(60000, 1001), 1)])
def test_sound_is_exactly_as_long_as_the_picture_and_in_its_place(
    clip, encode, join, container, audio_codec, frame_rate, num_frames
):
    count = math.floor(num_frames / frame_rate * 48_000)
    marks = [60, count // 2, count - 100]
    sound = np.zeros((2, count), np.float32)
    sound[:, marks] = 0.9
    joined = join(
        [encode(clip(num_frames), frame_rate, preset="ultrafast")],
        sound=sound,
        num_frames=num_frames,
        frame_rate=frame_rate,
        container=container,
        audio_codec=audio_codec,
    )
    audio = describe(joined).audio
    assert (audio.codec, audio.num_samples, audio.num_channels, audio.sample_rate_hz) == (audio_codec, count, 2, 48_000)
    heard = read_samples(joined)
    assert heard.shape == (2, count)
    for mark in marks:
        around = np.abs(heard[0, mark - 50 : mark + 51])
        assert abs(int(around.argmax()) - 50) <= 2
        assert around.max() > 0.2


def test_flac_in_matroska_keeps_samples_to_24_bits(clip, encode, join):
    sound = np.random.default_rng(3).uniform(-1, 1, (2, 5 * 2000)).astype(np.float32)
    joined = join([encode(clip(5))], sound=sound, num_frames=5, container="mkv", audio_codec="flac")
    assert np.abs(read_samples(joined) - sound).max() <= 2**-23


@pytest.mark.parametrize(("container", "audio_codec", "priming"), [("mp4", "aac", 1024), ("mkv", "flac", 0)])
def test_sound_packets_follow_each_other_without_gap(clip, encode, join, container, audio_codec, priming):
    sound = np.zeros((2, 24_000), np.float32)
    joined = join([encode(clip(12))], sound=sound, num_frames=12, container=container, audio_codec=audio_codec)
    with av.open(str(joined)) as file:
        found = [packet for packet in file.demux(audio=0) if packet.size]
        frame_size = file.streams.audio[0].codec_context.frame_size or 4608
    starts = [round(packet.pts * packet.time_base * 48_000) for packet in found]
    assert len(starts) > 4
    for packet_idx, start in enumerate(starts):
        # Matroska counts milliseconds.
        assert abs(start - (packet_idx * frame_size - priming)) <= 24


def test_left_stays_left(clip, encode, join):
    sound = np.zeros((2, 12_000), np.float32)
    sound[0] = 0.5 * np.sin(np.arange(12_000) * 0.05)
    left, right = read_samples(join([encode(clip(6))], sound=sound, num_frames=6))
    assert left.std() > 0.3
    assert right.std() < 0.001


@pytest.mark.parametrize(("container", "audio_codec"), [("mp4", "aac"), ("mov", "aac"), ("mkv", "flac")])
def test_joining_again_gives_the_same_bytes(clip, encode, join, container, audio_codec):
    chunk = encode(clip(6))
    sound = np.random.default_rng(3).uniform(-0.5, 0.5, (2, 12_000)).astype(np.float32)
    recipe = {"num_frames": 6, "container": container, "audio_codec": audio_codec, "provenance": "{}"}
    seen = {join([chunk], sound=sound, **recipe).read_bytes() for _ in range(5)}
    assert len(seen) == 1
    [whole] = seen
    assert b"Lavf6" not in whole
    assert b"Lavc6" not in whole


@pytest.mark.parametrize("container", ["mp4", "mov"])
def test_the_index_comes_before_the_pictures(film, container):
    assert describe(film(2, container=container)).is_faststart is True


@pytest.mark.parametrize(("container", "audio_codec"), [("mp4", "aac"), ("mov", "aac"), ("mkv", "flac")])
def test_provenance_of_any_length_comes_back_whole(film, container, audio_codec):
    provenance = {"prompt": 'une île, ein Löwe, 狐 "quoted" ' * 4000, "seed": 7}
    text = json.dumps(provenance, ensure_ascii=False)
    description = describe(film(2, container=container, audio_codec=audio_codec, provenance=text))
    assert description.provenance == provenance
    assert "creation_time" not in description.tags


def test_without_provenance_nothing_is_written(film):
    description = describe(film(2))
    assert description.provenance is None
    assert "comment" not in description.tags


def test_without_sound_the_film_is_silent(clip, encode, join):
    description = describe(join([encode(clip(3)), encode(clip(2))], num_frames=5))
    assert description.audio is None
    assert description.video.num_frames == 5


def test_mono_sound_stays_mono(clip, encode, join):
    joined = join([encode(clip(2))], sound=np.zeros((1, 4000), np.float32), num_frames=2)
    assert describe(joined).audio.num_channels == 1


@pytest.mark.parametrize(
    "change", [{"crf": 30}, {"codec": "ffv1"}, {"preset": "ultrafast"}, {"crop_px": (32, 32)}, {"codec": "h265"}]
)
def test_a_chunk_made_with_other_settings_is_refused_by_name(clip, encode, join, change):
    chunks = [encode(clip(2)), encode(clip(2)), encode(clip(2), **change)]
    with pytest.raises(MediaError, match="chunk2: chunk was encoded with other settings than chunk0; encode all"):
        join(chunks, num_frames=6)


def test_missing_frames_are_refused_with_every_chunk_s_count(clip, encode, join):
    chunks = [encode(clip(2)), encode(clip(3))]
    with pytest.raises(MediaError) as refusal:
        join(chunks, num_frames=6)
    assert str(refusal.value) == "chunks hold 5 frames where the video has 6: chunk0 2, chunk1 3"


def test_a_chunk_that_does_not_start_with_a_key_frame_is_refused(clip, encode, join, tmp_path):
    whole, cut = encode(clip(6)), tmp_path / "headless"
    with av.open(str(whole)) as source, av.open(str(cut), "w", format="mp4") as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in list(source.demux(video=0))[1:]:
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    with pytest.raises(MediaError, match="headless: chunk does not start with a key frame"):
        join([cut], num_frames=5)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"container": "avi"}, "container: 'avi' is not known; it is one of mp4, mov, mkv"),
        ({"audio_codec": "opus"}, "audio_codec: 'opus' is not exact in mp4; nearest is 'aac'"),
        (
            {"container": "mkv"},
            "audio_codec: 'aac' is not exact in mkv; nearest is 'flac'",
        ),
    ],
)
def test_what_a_container_cannot_hold_exactly_is_refused(clip, encode, join, change, text):
    with pytest.raises(MediaError) as refusal:
        join([encode(clip(2))], sound=np.zeros((2, 4000), np.float32), num_frames=2, **change)
    assert str(refusal.value) == text


def test_ffv1_needs_matroska(clip, encode, join):
    with pytest.raises(MediaError) as refusal:
        join([encode(clip(2), codec="ffv1")], num_frames=2)
    assert str(refusal.value) == "container: mp4 does not hold ffv1; mkv does"


@pytest.mark.parametrize("count", [3999, 4001])
def test_sound_of_another_length_is_refused(clip, encode, join, count):
    with pytest.raises(MediaError, match=f"sound has {count} samples where 2 frames at 24 per second last 4000"):
        join([encode(clip(2))], sound=np.zeros((2, count), np.float32), num_frames=2)


def test_sound_of_six_channels_is_refused(clip, encode, join):
    with pytest.raises(MediaError, match="sound has 6 channels; it must have 1 or 2"):
        join([encode(clip(2))], sound=np.zeros((6, 4000), np.float32), num_frames=2)


def test_no_chunk_and_no_picture_are_refused(join, tmp_path):
    with pytest.raises(MediaError, match="there is no chunk to join; the recipe wants 5 frames"):
        join([], num_frames=5)
    broken = tmp_path / "broken"
    broken.write_bytes(b"not a film")
    with pytest.raises(MediaError, match="broken: cannot be read as media"):
        join([broken], num_frames=5)


def test_every_byte_of_the_recipe_is_used(clip, encode, tmp_path):
    """A recipe field that changed nothing would give one file two keys."""
    chunk = encode(clip(2))
    recipe = StitchRecipe(
        num_frames=2,
        sound_samples=(),
        frame_rate=Fraction(24),
        container="mp4",
        audio_codec="aac",
        audio_bit_rate=192_000,
        provenance=None,
    )
    noise, sound = np.random.default_rng(1).uniform(-0.1, 0.1, (2, 4000)).astype(np.float32), tmp_path / "sound.wav"
    changes = [
        {},
        {"frame_rate": Fraction(240_001, 10_000)},
        {"container": "mov"},
        {"provenance": "{}"},
        {"audio_bit_rate": 64_000},
        {"container": "mkv", "audio_codec": "flac"},
    ]
    seen = set()
    for change in changes:
        changed = replace(recipe, **change)
        wanted = math.floor(2 / changed.frame_rate * 48_000)
        write_wav([noise[:, :wanted]], sound, sample_rate_hz=48_000)
        join_chunks([chunk], tmp_path / "out", recipe=changed, sound=sound)
        seen.add((tmp_path / "out").read_bytes())
    assert len(seen) == len(changes)
