"""Audio cells to samples and back. Exact at any window: a beep is a stored waveform, looked up by place in the take."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ltx_ray.models.testcard import tune
from ltx_ray.models.testcard.facts import TESTCARD
from ltx_ray.models.testcard.hear import Beep, find_beeps
from ltx_ray.models.testcard.tune import BEEP_SAMPLES, NOTES, NUM_KEYS, SAMPLE_RATE_HZ

#: A beep may be longer or shorter by this after a lossy codec; one that is cut in two is not whole.
_LENGTH_TOLERANCE = BEEP_SAMPLES // 10
#: Beeps this close to whole seconds apart are of one tune.
_BEAT_TOLERANCE = SAMPLE_RATE_HZ // 100


class CardAudioDecoder:
    """Satisfies ``spec.protocols.AudioDecoder``."""

    def decode(self, latent_BLC: Tensor, start: int, stop: int) -> Tensor:
        """Samples [start, stop), float32 [2, samples]; silence where cells say nothing or the latent has ended."""
        first = max(0, (start - tune.SLOT_SAMPLES) // tune.CELL_SAMPLES)
        last = (stop + 3 * tune.SLOT_SAMPLES) // tune.CELL_SAMPLES + 1
        numbers, keys = tune.read_cells(latent_BLC[0, first:last].float().cpu().numpy())
        out = np.zeros(stop - start, np.float32)
        for idx, (number, key) in enumerate(zip(numbers, keys, strict=True), first):
            begin = max(start, 0 if idx == 0 else idx * tune.CELL_SAMPLES - 3 * tune.SLOT_SAMPLES)
            end = min(stop, idx * tune.CELL_SAMPLES + tune.SLOT_SAMPLES)
            if begin < end and number >= 0:
                shift = (int(number) - idx) * tune.CELL_SAMPLES
                out[begin - start : end - start] = tune.sound(begin + shift, end + shift, int(key))
        return torch.from_numpy(np.stack([out, out]))


class CardAudioEncoder:
    """Satisfies ``spec.protocols.AudioEncoder``: cells of the tune that the samples play, or of silence.

    Three beeps in a row say which notes they are, so the encoder wants to hear some seconds before time 0. Of fewer it
    takes the first to be as early in the tune as can be: a film that short has only just begun.
    """

    def encode(self, samples: Tensor, num_cells: int, *, num_context_samples: int = 0) -> Tensor:
        found = _follow(find_beeps(samples.float().cpu().numpy()), num_context_samples)
        if found is None:
            return torch.zeros(1, num_cells, TESTCARD.audio_channels)
        number, key = found
        return torch.from_numpy(tune.cell_tokens(number + np.arange(num_cells), key))[None]


def _follow(heard: list[Beep], time_0: int) -> tuple[int, int] | None:
    """Number of the cell at sample ``time_0`` and key of the tune that the last beeps belong to; None if to none.

    Those before them may be of another take, whose tune ended at a cut; the first may have lost its beginning where the
    samples begin.
    """
    beeps = [beep for beep in heard if abs(beep.stop - beep.onset - BEEP_SAMPLES) < _LENGTH_TOLERANCE]
    found = (_tune_of(beeps[first:], time_0) for first in range(len(beeps)))
    return next((place for place in found if place is not None), None)


def _tune_of(beeps: list[Beep], time_0: int) -> tuple[int, int] | None:
    """As ``_follow``, of beeps that must all be of one tune."""
    anchor = beeps[-1].onset
    seconds = [round((beep.onset - anchor) / SAMPLE_RATE_HZ) for beep in beeps]
    beats = (anchor + second * SAMPLE_RATE_HZ for second in seconds)
    if any(abs(beep.onset - beat) > _BEAT_TOLERANCE for beep, beat in zip(beeps, beats, strict=True)):
        return None
    semitones = [round(12 * math.log2(max(beep.pitch_hz, 1.0) / tune.LOWEST_HZ)) for beep in beeps]
    for first in range(len(NOTES)):
        key = semitones[0] - NOTES[first]
        notes = [(first + second - seconds[0]) % len(NOTES) for second in seconds]
        if 0 <= key < NUM_KEYS and semitones == [key + NOTES[note] for note in notes]:
            return _place(notes[-1] * SAMPLE_RATE_HZ - anchor + time_0, key)
    return None


def _place(sample: int, key: int) -> tuple[int, int]:
    """Cell and key of a time 0 that is ``sample`` of the tune; cells begin on their own grid, the tune falls late."""
    turn = len(NOTES) * SAMPLE_RATE_HZ // tune.DELAY_SAMPLES
    steps = round(sample / tune.DELAY_SAMPLES) % turn
    number = -(-steps // tune.NUM_DELAYS)
    return number, key + NUM_KEYS * (number * tune.NUM_DELAYS - steps)
