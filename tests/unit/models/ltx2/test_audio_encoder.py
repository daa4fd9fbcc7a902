"""Sound to cells: the front end against the figures of torchaudio, cells in their place, and back to sound."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.audio_encoder import MelAudioEncoder
from ltx_ray.models.ltx2.audio_mel import FLOOR, log_mel, resample
from ltx_ray.models.ltx2.audio_vae import WindowedAudioDecoder
from ltx_ray.models.ltx2.folder import Folder
from ltx_ray.models.ltx2.model import Ltx2Model
from ltx_ray.models.ltx2.parts import Parts
from ltx_ray.models.ltx2.tiny import cached_tiny
from ltx_ray.models.ltx2.tiny_facts import TINY
from ltx_ray.plan.sounds import RUN_UP_CELLS
from ltx_ray.spec.grid import AudioGrid
from tests.unit.models.ltx2.vae_examples import CELL_CHANNELS, MEL_BINS, audio_latent, audio_vae, vocoder

GRID = AudioGrid(slot_s=Fraction(1, 100), slots_per_cell=4, sample_rate_hz=48000)


def encoder(**changes):
    return MelAudioEncoder(audio_vae(torch.float32, **changes), GRID)


def click(at_s, length_s=1.0):
    samples = torch.zeros(2, int(length_s * 48000))
    samples[:, int(at_s * 48000)] = 1.0
    return samples


def tones():
    times = torch.arange(9600, dtype=torch.float64) / 48000
    sweep = torch.sin(2 * torch.pi * 50_000 * times**2)
    return (0.5 * torch.sin(2 * torch.pi * 440 * times) + 0.2 * sweep)[None].float()


@pytest.mark.parametrize(
    ("rate", "length", "expected"),
    [
        (48000, 3200, [0.008278, 0.085098, 0.170997, 0.268621, -0.000213, -0.084291]),
        (24000, 6400, [0.002824, 0.042738, 0.086526, -0.431149, 0.000002, -0.028256]),
    ],
)
def test_resampling_gives_the_figures_of_torchaudio(rate, length, expected):
    # torchaudio 2.11.0 functional.resample(tones(), rate, 16000)
    found = resample(tones(), rate, 16000)
    assert found.shape == (1, length)
    torch.testing.assert_close(found[0, [0, 1, 2, 777, 1600, -1]], torch.tensor(expected), rtol=0, atol=2e-6)


def test_a_rate_that_is_right_already_is_left_alone():
    assert resample(tones(), 16000, 16000).equal(tones())


def test_mel_frames_have_the_figures_of_torchaudio():
    # torchaudio 2.11.0 transforms.MelSpectrogram with the arguments of the reference, after its resample
    mel = log_mel(resample(tones(), 48000, 16000), sample_rate_hz=16000, hop=160, num_bins=64)
    assert mel.shape == (1, 21, 64)
    frames, bins = [0, 0, 3, 10, 20, 20], [0, 5, 11, 30, 63, 40]
    expected = torch.tensor([-0.23166, -2.77037, -3.13514, -11.51293, -5.80493, -4.39543])
    torch.testing.assert_close(mel[0, frames, bins], expected, rtol=0, atol=2e-4)


def test_silence_is_the_floor():
    mel = log_mel(torch.zeros(2, 1600), sample_rate_hz=16000, hop=160, num_bins=64)
    assert (mel == torch.tensor(FLOOR).log()).all()


@pytest.mark.parametrize("at_s", [0.0, 0.2, 0.51])
def test_a_click_is_loudest_in_the_mel_frame_of_its_time(at_s):
    mel = log_mel(resample(click(at_s), 48000, 16000), sample_rate_hz=16000, hop=160, num_bins=64)
    assert mel[0].sum(1).argmax() == round(at_s * 100)


@pytest.mark.parametrize("num_cells", [1, 2, 9, 26])
@pytest.mark.parametrize("num_samples", [0, 100, 48000])
def test_there_are_as_many_cells_as_asked_for_however_much_sound_there_is(num_cells, num_samples):
    cells = encoder().encode(torch.zeros(2, num_samples), num_cells)
    assert (cells.shape, cells.dtype) == ((1, num_cells, CELL_CHANNELS), torch.float32)
    assert cells.isfinite().all()


def test_a_cell_ends_with_its_last_mel_frame():
    # A cell's time is [40 i - 30, 40 i + 10) ms. Half a window before it a later click cannot be heard.
    silence = encoder().encode(torch.zeros(2, 48000), 20)
    for at_s in (0.2, 0.4, 0.5):
        changed = (encoder().encode(click(at_s), 20) != silence).any(2)[0]
        first = int(changed.int().argmax())
        assert 40 * first - 42 <= 1000 * at_s <= 40 * first + 10 + 32 + 1
        assert not changed[:first].any()


def test_sound_after_the_cells_is_heard_by_none_but_their_window():
    short, long = click(0.1), click(0.1)
    long[:, 24000:] = 0.3
    assert encoder().encode(short, 10).equal(encoder().encode(long, 10))


def test_sound_that_ends_goes_on_in_silence():
    short = click(0.1, 0.5)
    assert encoder().encode(short, 26).equal(encoder().encode(torch.nn.functional.pad(short, (0, 24000)), 26))


def test_sound_before_time_0_is_passed_over():
    assert (
        encoder()
        .encode(torch.cat([torch.rand(2, 777), click(0.3)], 1), 20, num_context_samples=777)
        .equal(encoder().encode(click(0.3), 20))
    )


def test_cells_are_those_of_the_vae_normalised_and_packed():
    vae = audio_vae(torch.float32)
    cells = encoder().encode(click(0.3), 20)
    mel = log_mel(resample(click(0.3), 48000, 16000), sample_rate_hz=16000, hop=160, num_bins=MEL_BINS)
    with torch.no_grad():
        latent = vae.encode(mel[None, :, :77]).latent_dist.mode()
    unpacked = torch.unflatten(cells * vae.latents_std + vae.latents_mean, 2, (-1, MEL_BINS // 4)).transpose(1, 2)
    torch.testing.assert_close(unpacked, latent)


@pytest.mark.parametrize("kind", ["plain", "extending"])
def test_what_is_encoded_decodes_to_sound_of_the_same_length(kind):
    made = vocoder(kind, torch.float32)
    rate = made.config["output_sampling_rate"]
    decoder = WindowedAudioDecoder(audio_vae(torch.float32), made)
    grid = AudioGrid(slot_s=Fraction(1, 100), slots_per_cell=4, sample_rate_hz=rate)
    num_cells = grid.num_cells(Fraction(1, 2))
    cells = MelAudioEncoder(audio_vae(torch.float32), grid).encode(torch.rand(2, rate // 2) - 0.5, num_cells)
    assert cells.shape == audio_latent(num_cells).shape
    assert decoder.decode(cells, 0, rate // 2).shape == (2, rate // 2)


def test_a_vae_that_sees_the_future_is_refused():
    with pytest.raises(ModelError, match="causality_axis"):
        encoder(causality_axis="width")


@pytest.mark.parametrize("flavour", ["2.0", "2.5"])
def test_a_tiny_checkpoint_has_the_encoder(flavour, tmp_path_factory):
    folder = cached_tiny(flavour, tmp_path_factory.getbasetemp() / "tiny")
    facts = TINY[flavour]
    samples = torch.rand(2, facts.audio.sample_rate_hz) - 0.5
    cells = Ltx2Model(facts, Parts(Folder(folder))).audio_encoder().encode(samples, 25)
    assert cells.shape == (1, 25, facts.audio_channels)
    assert cells.isfinite().all()


@pytest.mark.parametrize("first", [0, 3, 40])
def test_cells_that_are_encoded_after_a_run_up_are_those_of_the_whole_sound(first):
    """What a segment of a long video hears is a slice of its track: ``plan.sounds``."""
    sound = torch.randn(2, 48000 * 6, generator=torch.Generator().manual_seed(3)) * 0.1
    start, stop = first + RUN_UP_CELLS, first + RUN_UP_CELLS + 20
    whole = encoder().encode(sound, stop)
    begin = first * 4 * 480
    part = encoder().encode(sound[:, begin:], stop - first)
    assert (whole[:, start:] - part[:, RUN_UP_CELLS:]).abs().max() < 1e-5
