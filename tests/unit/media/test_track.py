"""What is known of a sound before planning."""

from __future__ import annotations

import wave
from fractions import Fraction

import numpy as np
import pytest

from ltx_ray.errors import MediaError
from ltx_ray.media.footage import footage_samples
from ltx_ray.media.track import read_track


@pytest.fixture
def song(tmp_path):
    samples = np.random.default_rng(1).integers(-9000, 9000, (2, 30_001)).astype(np.int16)
    with wave.open(str(tmp_path / "song.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44_100)
        file.writeframes(np.ascontiguousarray(samples.T).tobytes())
    return tmp_path / "song.wav", samples


def test_a_sound_alone_begins_with_its_first_sample_and_is_as_long_as_its_samples(song):
    path, samples = song
    facts = read_track(path)
    assert (facts.duration_s, facts.sample_rate_hz) == (Fraction(30_001, 44_100), 44_100)
    read = np.concatenate(list(footage_samples(path, sample_rate_hz=44_100, start=100, stop=30_101)), axis=1)
    assert np.array_equal(np.rint(read[:, :29_901] * 2**15), samples[:, 100:]) and not read[:, 29_901:].any()


def test_what_has_no_sound_is_refused(tmp_path):
    path = tmp_path / "a.wav"
    with pytest.raises(MediaError, match="there is no such file; name a sound that is there"):
        read_track(path)
    path.write_bytes(b"RIFF")
    with pytest.raises(MediaError, match="cannot be read as media"):
        read_track(path)
