from __future__ import annotations

import numpy as np
import pytest
import torch

from ltx_ray.models.testcard import tune
from ltx_ray.models.testcard.hear import find_beeps
from ltx_ray.models.testcard.sound import CardAudioDecoder, CardAudioEncoder

TOKENS = torch.from_numpy(tune.cell_tokens(np.arange(90), 3))[None]
LENGTH = 357 * 480


def whole():
    return CardAudioDecoder().decode(TOKENS, 0, LENGTH)


def test_a_beep_begins_at_every_whole_second_and_nowhere_else():
    sound = whole()[0].numpy()
    for second in range(3):
        onset = second * 48000
        assert not sound[max(0, onset - 43000) : onset].any()
        assert np.abs(sound[onset + 1 : onset + 4]).all()
        assert not sound[onset + tune.BEEP_SAMPLES : onset + 48000].any()
    assert np.abs(sound).max() == pytest.approx(0.25, abs=0.001)


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (479, 481), (47_990, 48_010), (50_000, 60_000), (0, LENGTH)])
def test_any_window_equals_the_same_samples_of_the_whole(start, stop):
    window = CardAudioDecoder().decode(TOKENS, start, stop)
    assert torch.equal(window, whole()[:, start:stop])


def test_cells_cut_out_of_a_take_sound_as_they_did():
    cut = CardAudioDecoder().decode(TOKENS[:, 20:], 0, 48000)
    begin = 20 * tune.CELL_SAMPLES
    # the first cell of a cut holds one slot: it sounds like the start of the cell it was
    assert torch.equal(cut[:, 480:], whole()[:, begin + 480 : begin + 48000])


def test_cells_that_say_nothing_are_silent():
    tokens = TOKENS.clone()
    tokens[:, 24:30] = 0
    sound = CardAudioDecoder().decode(tokens, 0, LENGTH)[0]
    assert not sound[47_000:53_000].any() and sound[96_000:97_000].any()


def test_both_channels_are_the_same_and_the_type_is_float32():
    sound = whole()
    assert sound.shape == (2, LENGTH) and sound.dtype == torch.float32
    assert torch.equal(sound[0], sound[1])


def test_five_seconds_have_five_notes_and_the_tune_turns():
    notes = [tune.pitch_hz(3, second) for second in range(10)]
    assert len(set(notes[:5])) == 5 and notes[:5] == notes[5:]


def test_beeps_are_found_to_the_millisecond_and_in_tune():
    beeps = find_beeps(whole().numpy())
    assert [round(beep.onset / 48000, 3) for beep in beeps] == [0.0, 1.0, 2.0, 3.0]
    for second, beep in enumerate(beeps):
        assert beep.pitch_hz == pytest.approx(tune.pitch_hz(3, second), rel=0.01)


def test_an_audio_clock_wraps_on_a_whole_second_and_note():
    assert tune.PERIOD_CELLS % 25 == 0 and tune.PERIOD_CELLS // 25 % len(tune.NOTES) == 0
    numbers, keys = tune.read_cells(tune.cell_tokens(np.arange(59_998, 60_003), 11))
    assert numbers.tolist() == [59_998, 59_999, 0, 1, 2] and set(keys.tolist()) == {11}


def test_a_second_of_a_take_of_days_is_heard_at_once():
    days = torch.zeros(1, 1, 192).expand(1, 10_000_000, 192)
    assert not CardAudioDecoder().decode(days, 300_000 * 48_000, 300_001 * 48_000).any()


def heard_again(first, stop, *, key=3, num_cells=12, time_0=None):
    """Cells of what samples [first, stop) of a tune say, from ``time_0`` on, decoded again."""
    time_0 = first if time_0 is None else time_0
    played = torch.from_numpy(np.stack([tune.sound(first, stop, key)] * 2))
    return CardAudioEncoder().encode(played, num_cells, num_context_samples=time_0 - first)


@pytest.mark.parametrize("key", [0, 3, 11])
@pytest.mark.parametrize("time_0", [192_000, 200_001, 211_300, 1_000_000, 5_000_000])
def test_a_tune_goes_on_where_it_is_broken_off(key, time_0):
    latent = heard_again(time_0 - 4 * 48_000, time_0 + 16_000, key=key, time_0=time_0)
    numbers, keys = tune.read_cells(latent[0].numpy())
    assert (np.diff(numbers) == 1).all() and len(set(keys.tolist())) == 1
    more = torch.from_numpy(tune.cell_tokens(numbers[0] + np.arange(150), int(keys[0])))[None]
    again = CardAudioDecoder().decode(more, 0, 5 * 48_000).numpy()
    wanted = find_beeps(np.stack([tune.sound(time_0, time_0 + 5 * 48_000, key)]))
    for beep, right in zip(find_beeps(again), wanted, strict=True):
        assert abs(beep.onset - right.onset) <= 72, "within 1.5 ms"
        assert beep.pitch_hz == pytest.approx(right.pitch_hz, rel=0.01)


def test_a_tune_that_has_only_just_begun_is_known_by_fewer_notes():
    for length in (15_000, 60_000, 100_000):
        numbers, keys = tune.read_cells(heard_again(0, length, time_0=7_680)[0].numpy())
        assert (numbers[0], keys[0]) == (4, 3)


@pytest.mark.parametrize("num_seconds", [1, 2, 3])
@pytest.mark.parametrize("before", [3 * 48_000, 6 * 48_000 + 11_000])
def test_a_tune_that_began_at_a_cut_is_told_from_the_one_before_it(before, num_seconds):
    time_0 = num_seconds * 48_000 + 7_680
    played = np.concatenate([tune.sound(before - 48_000, before, 3), tune.sound(0, time_0 + 16_000, 3)])
    samples = torch.from_numpy(np.stack([played] * 2))
    latent = CardAudioEncoder().encode(samples, 8, num_context_samples=48_000 + time_0)
    numbers, keys = tune.read_cells(latent[0].numpy())
    assert (numbers[0], keys[0]) == (num_seconds * 25 + 4, 3)


def test_sound_without_a_tune_becomes_silence():
    noise = torch.randn(2, 96_000, generator=torch.Generator().manual_seed(0)) * 0.3
    for samples in (noise, torch.zeros(2, 96_000), torch.zeros(2, 0)):
        latent = CardAudioEncoder().encode(samples, 5)
        assert latent.shape == (1, 5, 192) and not latent.any()


def test_late_tunes_are_read_from_cells_and_heard_late():
    late = 3 + tune.NUM_KEYS * 7
    tokens = tune.cell_tokens(np.arange(30), late)
    assert set(tune.read_cells(tokens)[1].tolist()) == {late}
    sound = CardAudioDecoder().decode(torch.from_numpy(tokens)[None], 0, 50_000)[0].numpy()
    assert np.array_equal(sound[672:], whole()[0, : 50_000 - 672].numpy()) and not sound[:672].any()
