"""The sound of the card: a beep at every whole second, five notes in turn, so a second out of place is heard.

Samples are exact: a beep is one stored waveform, indexed by the sample's number in the take. numpy only.
An audio cell carries its number in the take and the tune's key twice: plain with a check, for readers of clean cells,
and as spread codes, for readers of noisy ones. A take that goes on from a given film finds its seconds anywhere between
two cells: such a tune's key also says how late they fall, ``key + NUM_KEYS * steps``.
"""

from __future__ import annotations

import zlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 48000
BEEP_SAMPLES = 4800
RAMP_SAMPLES = 96
LEVEL = 0.25  # -12 dBFS
NOTES = (0, 2, 4, 7, 9)  # a pentatonic scale, in semitones
NUM_KEYS = 12
LOWEST_HZ = 440.0

#: Cells are 40 ms; numbers live modulo 40 minutes, a whole number of seconds and of turns of the tune.
PERIOD_CELLS = 60000
CELL_SAMPLES = 1920
SLOT_SAMPLES = 480
#: Keys with a delay: whole seconds fall this many samples late, times the key's steps; all steps make a cell.
DELAY_SAMPLES = 96
NUM_DELAYS = CELL_SAMPLES // DELAY_SAMPLES
NUM_TUNES = NUM_KEYS * NUM_DELAYS
NUMBER_BITS, KEY_BITS, CHECK_BITS, SPREAD_BITS, KEY_SPREAD_BITS = 16, 8, 8, 96, 64
#: Where the spread codes begin, after the plain bits.
_SPREAD = NUMBER_BITS + KEY_BITS + CHECK_BITS

Floats = NDArray[np.float32]


def key_of(label: str) -> int:
    """The key a video's tune is in, [0, NUM_KEYS)."""
    return zlib.crc32(label.encode()) % NUM_KEYS


def pitch_hz(key: int, second: int) -> float:
    """Frequency of the beep at a whole second."""
    return float(LOWEST_HZ * 2 ** ((key % NUM_KEYS + NOTES[second % len(NOTES)]) / 12))


@lru_cache(maxsize=64)
def beep(key: int, note: int) -> Floats:
    """One beep, float32 [BEEP_SAMPLES]."""
    times = np.arange(BEEP_SAMPLES) / SAMPLE_RATE_HZ
    ramp = np.minimum(1.0, np.minimum(np.arange(BEEP_SAMPLES), np.arange(BEEP_SAMPLES)[::-1]) / RAMP_SAMPLES)
    envelope = LEVEL * np.sin(ramp * np.pi / 2) ** 2
    return (envelope * np.sin(2 * np.pi * pitch_hz(key, note) * times)).astype(np.float32)


def sound(start: int, stop: int, key: int) -> Floats:
    """Samples [start, stop) of a take's tune."""
    out, delay = np.zeros(stop - start, np.float32), key // NUM_KEYS * DELAY_SAMPLES
    start, stop = start - delay, stop - delay
    for second in range(max(0, start // SAMPLE_RATE_HZ), stop // SAMPLE_RATE_HZ + 1):
        onset = second * SAMPLE_RATE_HZ
        first, last = max(start, onset), min(stop, onset + BEEP_SAMPLES)
        if first < last:
            out[first - start : last - start] = beep(key, second % len(NOTES))[first - onset : last - onset]
    return out


def cell_tokens(numbers: NDArray[np.int64], key: int) -> Floats:
    """Tokens [n, 192] of the cells with these numbers, each -1 or 1."""
    numbers = numbers % PERIOD_CELLS
    keys = np.full_like(numbers, key)
    plain = [_bits(numbers, NUMBER_BITS), _bits(keys, KEY_BITS), _bits(_check(numbers, keys), CHECK_BITS)]
    spread = [spread_codes()[numbers], key_codes()[keys]]
    return np.concatenate([*plain, *spread], axis=1).astype(np.float32)


def read_cells(tokens: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers and keys of clean cells [n, 192]; the number is -1 where nothing can be read."""
    bits = tokens[:, : NUMBER_BITS + KEY_BITS + CHECK_BITS] > 0
    numbers, keys = _value(bits[:, :NUMBER_BITS]), _value(bits[:, NUMBER_BITS : NUMBER_BITS + KEY_BITS])
    check = _value(bits[:, NUMBER_BITS + KEY_BITS :])
    good = (check == _check(numbers, keys)) & (keys < NUM_TUNES) & (np.abs(tokens).mean(axis=1) > 0.5)
    return np.where(good, numbers, -1), keys


def number_part(tokens: Floats) -> Floats:
    """The spread code of the number, [n, SPREAD_BITS]."""
    return tokens[:, _SPREAD : _SPREAD + SPREAD_BITS]


def key_part(tokens: Floats) -> Floats:
    """The spread code of the key, [n, KEY_SPREAD_BITS]."""
    return tokens[:, _SPREAD + SPREAD_BITS :]


@lru_cache(maxsize=1)
def spread_codes() -> Floats:
    """A random-looking +-1 row [SPREAD_BITS] for every number: any two differ in about half their places."""
    return _codes(0x17C, PERIOD_CELLS, SPREAD_BITS)


@lru_cache(maxsize=1)
def key_codes() -> Floats:
    """The same for every key, [NUM_TUNES, KEY_SPREAD_BITS]."""
    return _codes(0x17D, NUM_TUNES, KEY_SPREAD_BITS)


def _codes(seed: int, rows: int, columns: int) -> Floats:
    raw = np.random.PCG64(seed).random_raw(rows * columns // 64)
    bits = np.unpackbits(raw.astype("<u8").view(np.uint8)).reshape(rows, columns)
    return bits.astype(np.float32) * 2 - 1


def _check(numbers: NDArray[np.int64], keys: NDArray[np.int64]) -> NDArray[np.int64]:
    return (((numbers * 256 + keys + 1) * 0x9E3779B1) >> 13) & 0xFF


def _bits(values: NDArray[np.int64], num_bits: int) -> NDArray[np.int64]:
    return ((values[:, None] >> np.arange(num_bits)) & 1) * 2 - 1


def _value(bits: NDArray[np.bool_]) -> NDArray[np.int64]:
    return bits.astype(np.int64) @ (1 << np.arange(bits.shape[1], dtype=np.int64))
