"""Sound of real files with many channels, in any order, and with clocks that begin anywhere."""

from __future__ import annotations

import resource
import wave
from fractions import Fraction

import numpy as np
import pytest

from ltx_ray.errors import MediaError
from ltx_ray.media.footage import footage_samples
from ltx_ray.media.probe import describe
from ltx_ray.media.read import read_samples, sample_blocks
from ltx_ray.media.source import read_source
from tests.unit.media.foreign import without_decoder, write_foreign, write_other_order, write_sound_only

TWO_S = np.zeros((48, 32, 32, 3), np.uint8)


def tones(num_channels, num_samples=9600):
    """Every channel at another level, in steps that 16 bits can say."""
    levels = (np.arange(1, num_channels + 1, dtype=np.float32) * 256) / 32768
    return np.repeat(levels[:, None], num_samples, 1)


def heard(path, stop=9600, rate=48_000):
    return np.concatenate(list(footage_samples(path, sample_rate_hz=rate, start=0, stop=stop)), axis=1)


@pytest.mark.parametrize(
    ("suffix", "codec", "layout"),
    [
        ("mkv", "pcm_s16le", "7.1"),
        ("mkv", "wavpack", "7.1.4"),  # decoded planar
        ("mkv", "wavpack", "hexadecagonal"),
        ("mov", "pcm_s16le", "7.1"),
        ("mov", "pcm_s24le", "16C"),
        ("mkv", "pcm_s16le", "24C"),
        ("mkv", "pcm_s16le", "64C"),
        ("mkv", "flac", "7.1"),
        ("mp4", "flac", "7.1"),
        ("mkv", "pcm_f32le", "6C"),
    ],
)
def test_all_samples_of_many_channels_come_back(tmp_path, suffix, codec, layout):
    num_channels = int(layout[:-1]) if layout.endswith("C") else {"7.1": 8, "7.1.4": 12, "hexadecagonal": 16}[layout]
    sound = tones(num_channels)
    path = write_foreign(
        tmp_path / f"film.{suffix}", TWO_S[:5], sound=sound, sound_codec=codec, sample_rate_hz=48_000, layout=layout
    )
    np.testing.assert_allclose(read_samples(path), sound, atol=2**-15)
    audio = describe(path).audio
    assert (audio.num_channels, audio.num_samples) == (num_channels, 9600)
    assert np.abs(heard(path)).max() <= np.abs(sound).max()
    assert read_source(path).has_sound


@pytest.mark.parametrize(("suffix", "codec"), [("wav", "pcm_s16le"), ("flac", "flac"), ("ogg", "libopus")])
def test_eight_channels_without_a_picture_are_described(tmp_path, suffix, codec):
    path = write_sound_only(tmp_path / f"tune.{suffix}", tones(8), codec, "7.1")
    audio = describe(path).audio
    assert (audio.num_channels, audio.sample_rate_hz) == (8, 48_000)
    assert abs(audio.num_samples - 9600) < 1000


def test_more_channels_than_can_be_converted_are_refused(tmp_path):
    path = tmp_path / "tune.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(100)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(bytes(200 * 100))
    with pytest.raises(MediaError, match=r"tune\.wav: sound of 100 channels is more than the 64 that are read; mix it"):
        read_samples(path)


def test_channels_in_an_order_of_the_file_s_own_are_mixed_by_their_places(tmp_path):
    """L R Ls Rs C LFE; reading it as PyAV does ends the process, and as 5.1 it would put Ls into the middle."""
    sound = np.zeros((6, 9600), np.float32)
    sound[4] = 0.5  # the centre
    path = write_other_order(tmp_path / "film.mov", TWO_S[:5], sound)
    for _ in range(3):
        mixed = heard(path)
    np.testing.assert_allclose(mixed, 0.5 * 0.7071 / 2.4142, atol=1e-4)
    assert read_source(path).has_sound
    assert describe(path).audio.num_channels == 6


@pytest.mark.parametrize("clock_s", [0, 2, 3600, 100_000, 10_000_000])
@pytest.mark.parametrize(("suffix", "codec"), [("mkv", "flac"), ("nut", "pcm_s16le"), ("ts", "mp2")])
def test_a_clock_that_began_long_before_changes_nothing(tmp_path, clock_s, suffix, codec):
    clock_s = min(clock_s, 90_000) if suffix == "ts" else clock_s  # 33 bits at 90 kHz
    path = write_foreign(
        tmp_path / f"live.{suffix}",
        TWO_S,
        codec="mpeg4",
        sound=np.full((2, 96_000), 0.25, np.float32),
        sound_codec=codec,
        sample_rate_hz=48_000,
        clock_s=clock_s,
    )
    facts, description = read_source(path), describe(path)
    assert (facts.num_frames(Fraction(24)), facts.has_sound) == (48, True)
    assert abs(description.audio.num_samples - 96_000) < (1 if codec != "mp2" else 3000)
    assert 2 <= description.duration_s < 2.2
    assert np.abs(heard(path, 90_000)[:, 5000:] - 0.25).max() < 0.01


@pytest.mark.parametrize("clock_s", [-100_000, -5])
def test_a_clock_below_zero_is_one_like_any_other(tmp_path, clock_s):
    path = write_foreign(
        tmp_path / "film.nut",
        TWO_S,
        codec="mpeg4",
        sound=np.full((2, 96_000), 0.25, np.float32),
        sound_codec="pcm_s16le",
        sample_rate_hz=48_000,
        clock_s=clock_s,
    )
    assert describe(path).audio.num_samples == 96_000
    assert read_source(path).num_frames(Fraction(24)) == 48


@pytest.fixture
def late(tmp_path):
    """``late(suffix, seconds)``: two seconds of pictures, and one of sound that begins so much later."""

    def make(suffix, seconds, codec="flac"):
        return write_foreign(
            tmp_path / f"late.{suffix}",
            TWO_S,
            sound=np.full((2, 48_000), 0.25, np.float32),
            sound_codec=codec,
            sample_rate_hz=48_000,
            sound_late_s=seconds,
        )

    return make


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_sound_hours_after_the_picture_is_counted_and_not_written_out(late, suffix):
    path = late(suffix, 36_000)
    audio = describe(path).audio
    assert (audio.start_s, audio.num_samples) == (36_000, 36_001 * 48_000)
    assert not heard(path, 96_000).any()
    assert read_source(path).num_frames(Fraction(24)) == 48


def test_silence_before_late_sound_comes_in_blocks(late):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(block.shape[1] for block in sample_blocks(late("mkv", 1800))) == 1801 * 48_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024, "KiB; in one piece it is 660 MiB"


def test_sound_that_a_transport_stream_announces_and_brings_late_says_what_it_is_when_it_comes(late):
    path = late("ts", 20, "aac")
    audio = describe(path).audio
    assert (audio.sample_rate_hz, audio.num_channels) == (48_000, 2)
    assert abs(audio.start_s - 20) < Fraction(1, 5)
    assert read_source(path).has_sound


@pytest.mark.parametrize(("after", "rate"), [("5.1(side)", 48_000), ("stereo", 44_100)])
def test_sound_that_changes_in_the_middle_is_heard_to_its_end(tmp_path, after, rate):
    parts = [
        write_foreign(
            tmp_path / f"part{idx}.ts",
            TWO_S,
            sound=np.full((6 if layout == "5.1(side)" else 2, 2 * hz), 0.25, np.float32),
            sound_codec="ac3",
            sample_rate_hz=hz,
            layout=layout,
            clock_s=10 + 2 * idx,
        )
        for idx, (layout, hz) in enumerate([("stereo", 48_000), (after, rate)])
    ]
    path = tmp_path / "film.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    audio = describe(path).audio
    assert (audio.sample_rate_hz, audio.num_channels) == (48_000, 2)
    assert abs(audio.num_samples - 4 * 48_000) < 6000
    mixed = heard(path, 4 * 48_000)
    assert np.abs(mixed[:, 5_000:90_000] - 0.25).max() < 0.02
    assert np.abs(mixed[:, 110_000:180_000] - 0.25).max() < 0.02
    assert read_source(path).has_sound
    with pytest.raises(MediaError, match="its sound changes from 2 channels at 48000 Hz to "):
        read_samples(path)


@pytest.mark.parametrize("rate_hz", [1, 2**31 - 1])
def test_a_rate_that_no_sound_has_is_refused(tmp_path, rate_hz):
    path = write_sound_only(tmp_path / "tune.wav", tones(2), layout="stereo")
    content = bytearray(path.read_bytes())
    content[24:28] = rate_hz.to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(MediaError, match=rf"tune\.wav: sound at {rate_hz} Hz is not within 1000\.\.4000000 Hz"):
        describe(path)


@pytest.mark.parametrize(("known", "other"), [(b"alac", b"apac"), (b"alac", b"xyz1"), (b"alac", b"\1\2\3\4")])
def test_sound_without_a_decoder_is_described_and_not_gone_on_from(tmp_path, known, other):
    path = write_foreign(tmp_path / "film.mp4", TWO_S[:5], sound=tones(2), sound_codec="alac", sample_rate_hz=48_000)
    without_decoder(path, known, other)
    description = describe(path)
    assert description.video.is_decodable and not description.audio.is_decodable
    assert (description.audio.sample_rate_hz, description.audio.num_channels) == (48_000, 2)
    if other == b"apac":
        assert description.audio.codec == "apac"
    with pytest.raises(MediaError, match=r"film\.mp4: its sound cannot be decoded \(codec .*take it out: `ffmpeg -i "):
        read_source(path)


def test_a_picture_without_a_decoder_is_described_and_not_gone_on_from(tmp_path):
    path = without_decoder(write_foreign(tmp_path / "film.mp4", TWO_S[:5]), b"avc1", b"xyz1")
    video = describe(path).video
    assert (video.codec, video.is_decodable, video.num_frames) == ("xyz1", False, 5)
    assert (video.width_px, video.height_px) == (32, 32)
    with pytest.raises(MediaError, match=r"film\.mp4: its picture cannot be decoded \(codec 'xyz1'\)"):
        read_source(path)
