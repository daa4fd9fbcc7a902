"""Files that are cut anywhere or have bits turned: facts or a sentence, never anything else."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from ltx_ray.errors import MediaError
from ltx_ray.media.look import Looker
from ltx_ray.media.probe import describe
from ltx_ray.media.source import read_source
from tests.unit.media.foreign import write_foreign

#: Bytes at both ends of a file that hold its headers and its index.
_HEADERS = 1500

FILMS = [
    ("mp4", "libx264", "aac"),
    ("mkv", "mpeg4", "flac"),
    ("ts", "mpeg2video", "mp2"),
    ("mov", "mpeg4", "pcm_s16le"),
]


@cache
def film(root: Path, suffix: str, codec: str, sound_codec: str) -> bytes:
    noise = np.random.default_rng(3)
    pictures = noise.integers(0, 255, (12, 32, 32, 3)).astype(np.uint8)
    sound = noise.uniform(-0.3, 0.3, (2, 24_000)).astype(np.float32)
    path = root / f"film.{suffix}"
    write_foreign(path, pictures, codec=codec, sound=sound, sound_codec=sound_codec, sample_rate_hz=48_000)
    return path.read_bytes()


def damaged(content: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.3:
        return content[: chance.randrange(len(content))]
    spoilt = bytearray(content)
    for _ in range(chance.choice([1, 2, 8])):
        places = [
            range(len(spoilt)),
            range(min(_HEADERS, len(spoilt))),
            range(max(0, len(spoilt) - _HEADERS), len(spoilt)),
        ]
        spoilt[chance.choice(chance.choice(places))] ^= 1 << chance.randrange(8)
    return bytes(spoilt)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("suffix", "codec", "sound_codec"), FILMS)
def test_a_damaged_file_gives_facts_or_a_sentence(tmp_path, suffix, codec, sound_codec, seed):
    content, chance = film(tmp_path, suffix, codec, sound_codec), random.Random(seed)
    path = tmp_path / f"damaged.{suffix}"
    with Looker(stall_s=30) as looker:
        for _ in range(12):
            path.write_bytes(damaged(content, chance))
            for read in (read_source, describe):
                try:
                    looker.look(read, path)
                except MediaError as error:
                    assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
