"""Sound as an artifact on disk: a float32 WAV, written and read in blocks of any length.

Samples are [channels, samples] in memory and interleaved in the file. The bytes depend on nothing but the samples and
the rate. Only the exact layout written here is read back; other people's files go through ``media.read``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ltx_ray.errors import MediaError

_IEEE_FLOAT = 3
_SAMPLE_BYTES = 4
#: RIFF, fmt with its extension size, fact (wanted by everything that is not PCM), data.
_HEADER = struct.Struct("<4sI4s 4sIHHIIHHH 4sII 4sI")
#: RIFF counts bytes in 32 bits.
_MAX_BYTES = 2**32 - 1 - _HEADER.size


@dataclass(frozen=True, slots=True)
class Sound:
    """What the header of a sound on disk says; ``blocks`` reads the samples."""

    path: Path
    sample_rate_hz: int
    num_channels: int
    num_samples: int

    def blocks(self, num_samples: int) -> Iterator[np.ndarray]:
        """The sound in blocks float32 [channels, ``num_samples``]; the last one may be shorter."""
        with self.path.open("rb") as file:
            file.seek(_HEADER.size)
            while data := file.read(num_samples * self.num_channels * _SAMPLE_BYTES):
                yield np.frombuffer(data, "<f4").reshape(-1, self.num_channels).T.astype(np.float32)

    def samples(self, start: int, stop: int) -> np.ndarray:
        """Samples [start, stop), float32 [channels, n]; fewer where the sound ends before."""
        frame_bytes = self.num_channels * _SAMPLE_BYTES
        with self.path.open("rb") as file:
            file.seek(_HEADER.size + start * frame_bytes)
            data = file.read((stop - start) * frame_bytes)
        return np.frombuffer(data, "<f4").reshape(-1, self.num_channels).T.astype(np.float32)


def write_wav(blocks: Iterable[np.ndarray], path: Path, *, sample_rate_hz: int) -> int:
    """Write float32 blocks [channels, n] one after another and return how many samples there were.

    Raises:
        MediaError: no block, a sample that is not finite, or more than 4 GiB (3 hours of stereo at 48 kHz).
    """
    num_channels = num_samples = 0
    with path.open("wb") as file:
        file.write(bytes(_HEADER.size))
        for block in blocks:
            assert block.ndim == 2 and num_channels in (0, block.shape[0]), block.shape
            num_channels = block.shape[0]
            longest = _MAX_BYTES // (num_channels * _SAMPLE_BYTES)
            if num_samples + block.shape[1] > longest:
                raise MediaError(f"{path}: sound is longer than a WAV file holds; the longest is {longest} samples")
            if not np.isfinite(block).all():
                raise MediaError(f"{path}: a sample at or after {num_samples} is not a finite number")
            num_samples += block.shape[1]
            file.write(np.ascontiguousarray(block.T, "<f4").tobytes())
        if num_channels == 0:
            raise MediaError(f"{path}: there is no sound to write; give at least one block")
        file.seek(0)
        file.write(_header(num_channels, num_samples, sample_rate_hz))
    return num_samples


def open_wav(path: Path) -> Sound:
    """Read the header of a sound written by ``write_wav``.

    Raises:
        MediaError: the file is not there, was not written here, or is shorter than its header says.
    """
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER.size)
        num_bytes = path.stat().st_size - len(header)
    except OSError as error:
        raise MediaError(f"{path}: cannot be read as sound ({error.strerror})") from error
    if len(header) < _HEADER.size:
        raise MediaError(f"{path}: {len(header)} bytes are too few for a WAV file")
    fields = _HEADER.unpack(header)
    num_channels, sample_rate_hz, num_samples = fields[6], fields[7], fields[14]
    if not _is_ours(header, num_channels, num_samples, sample_rate_hz):
        raise MediaError(f"{path}: is not a float32 WAV file as written by ltx-ray")
    if num_bytes != num_samples * num_channels * _SAMPLE_BYTES:
        raise MediaError(f"{path}: holds {num_bytes} bytes of sound where its header says {fields[16]}")
    return Sound(path, sample_rate_hz, num_channels, num_samples)


def read_wav(path: Path) -> np.ndarray:
    """All samples of a sound written by ``write_wav``, float32 [channels, samples]."""
    sound = open_wav(path)
    return np.concatenate([np.zeros((sound.num_channels, 0), np.float32), *sound.blocks(2**20)], axis=1)


def _is_ours(header: bytes, num_channels: int, num_samples: int, sample_rate_hz: int) -> bool:
    try:
        return num_channels > 0 and header == _header(num_channels, num_samples, sample_rate_hz)
    except struct.error:
        # The three numbers are so large that no header of ours could hold what follows from them.
        return False


def _header(num_channels: int, num_samples: int, sample_rate_hz: int) -> bytes:
    frame_bytes = num_channels * _SAMPLE_BYTES
    num_bytes = num_samples * frame_bytes
    riff = (b"RIFF", _HEADER.size - 8 + num_bytes, b"WAVE")
    fmt = (_IEEE_FLOAT, num_channels, sample_rate_hz, sample_rate_hz * frame_bytes, frame_bytes, 8 * _SAMPLE_BYTES, 0)
    return _HEADER.pack(*riff, b"fmt ", 18, *fmt, b"fact", 4, num_samples, b"data", num_bytes)
