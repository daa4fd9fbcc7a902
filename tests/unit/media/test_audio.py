from __future__ import annotations

import numpy as np
import pytest

from ltx_ray.errors import MediaError
from ltx_ray.media.audio import open_wav, read_wav, write_wav
from ltx_ray.media.probe import describe
from ltx_ray.media.read import read_samples


@pytest.fixture
def noise():
    return np.random.default_rng(5).uniform(-1.5, 1.5, (2, 1000)).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sound.wav"


def test_samples_come_back_bit_for_bit(noise, path):
    assert write_wav([noise], path, sample_rate_hz=48_000) == 1000
    assert np.array_equal(read_wav(path), noise)
    sound = open_wav(path)
    assert (sound.sample_rate_hz, sound.num_channels, sound.num_samples) == (48_000, 2, 1000)


def test_the_bytes_do_not_depend_on_how_the_sound_was_cut(noise, path):
    write_wav([noise], path, sample_rate_hz=48_000)
    whole = path.read_bytes()
    pieces = iter([noise[:, :1], noise[:, 1:700], noise[:, 700:700], noise[:, 700:]])
    write_wav(pieces, path, sample_rate_hz=48_000)
    assert path.read_bytes() == whole


@pytest.mark.parametrize(("size", "counts"), [(1000, [1000]), (400, [400, 400, 200]), (5000, [1000])])
def test_blocks_are_the_sound_in_order(noise, path, size, counts):
    write_wav([noise], path, sample_rate_hz=48_000)
    blocks = list(open_wav(path).blocks(size))
    assert [block.shape[1] for block in blocks] == counts
    assert np.array_equal(np.concatenate(blocks, axis=1), noise)


@pytest.mark.parametrize(("start", "stop"), [(0, 1000), (17, 18), (400, 400), (990, 1010), (2000, 2001)])
def test_a_part_of_the_sound_is_read_alone(noise, path, start, stop):
    write_wav([noise], path, sample_rate_hz=48_000)
    assert np.array_equal(open_wav(path).samples(start, stop), noise[:, start:stop])


def test_other_programs_read_it(noise, path):
    write_wav([noise], path, sample_rate_hz=44_100)
    assert np.array_equal(read_samples(path), noise)
    audio = describe(path).audio
    assert (audio.codec, audio.sample_rate_hz, audio.num_samples) == ("pcm_f32le", 44_100, 1000)


def test_silence_of_no_length_is_still_a_sound(path):
    assert write_wav([np.zeros((2, 0), np.float32)], path, sample_rate_hz=48_000) == 0
    assert read_wav(path).shape == (2, 0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_no_number_is_refused(noise, path, value):
    bad = noise.copy()
    bad[1, 3] = value
    with pytest.raises(MediaError, match="a sample at or after 1000 is not a finite number"):
        write_wav([noise, bad], path, sample_rate_hz=48_000)


def test_no_block_is_refused(path):
    with pytest.raises(MediaError, match="there is no sound to write"):
        write_wav([], path, sample_rate_hz=48_000)


def test_a_sound_longer_than_a_wav_file_holds_is_refused_before_it_is_written(path):
    # A block of 4 GiB that takes no memory.
    huge = np.broadcast_to(np.float32(0), (2**20, 2**10))
    with pytest.raises(MediaError, match="sound is longer than a WAV file holds; the longest is 1023 samples"):
        write_wav([huge[:, :0], huge], path, sample_rate_hz=48_000)


def test_a_file_that_is_not_ours_or_not_whole_is_refused(noise, path):
    with pytest.raises(MediaError, match=r"sound\.wav: cannot be read as sound"):
        open_wav(path)
    path.write_bytes(b"RIFF")
    with pytest.raises(MediaError, match="4 bytes are too few for a WAV file"):
        open_wav(path)
    path.write_bytes(b"x" * 500)
    with pytest.raises(MediaError, match="is not a float32 WAV file as written by ltx-ray"):
        open_wav(path)
    write_wav([noise], path, sample_rate_hz=48_000)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(MediaError, match="holds 7992 bytes of sound where its header says 8000"):
        open_wav(path)
