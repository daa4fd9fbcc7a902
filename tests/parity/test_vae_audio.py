"""Our decoding of sound in windows against one call of VAE and vocoder, in the published layer structures.

Bits cannot be equal: the rounding of a convolution depends on how many samples it is given. In float32 this leaves 2e-6
of full scale, a fifteenth of a 16-bit step.
"""

from __future__ import annotations

import warnings

import pytest
import torch

from ltx_ray.models.ltx2.audio_vae import WindowedAudioDecoder
from tests.unit.models.ltx2.vae_examples import HOP, MEL_BINS, audio_latent, audio_vae, vocoder

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from diffusers import LTX2Pipeline

NUM_CELLS = 66
#: Cells before and after a cell that its sound depends on. With random weights 41 and 8 already leave less than 1e-12.
REACH = {"plain": (38, 5), "extending": (47, 13)}


@pytest.fixture(scope="module", params=sorted(REACH))
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def decoder(kind):
    return WindowedAudioDecoder(audio_vae(torch.float32), vocoder(kind, torch.float32), cells_per_call=50)


def made_in_one_call(kind, latent):
    """The sound that the pipelines make of normalised cells."""
    vae = audio_vae(torch.float32)
    with torch.no_grad():
        cells = LTX2Pipeline._denormalize_audio_latents(latent, vae.latents_mean, vae.latents_std)
        cells = LTX2Pipeline._unpack_audio_latents(cells, NUM_CELLS, num_mel_bins=MEL_BINS // 4)
        return vocoder(kind, torch.float32)(vae.decode(cells, return_dict=False)[0])[0]


def test_windows_equal_the_sound_that_the_pipelines_make_in_one_call(kind, decoder):
    latent = audio_latent(NUM_CELLS)
    whole = made_in_one_call(kind, latent)
    assert whole.std() > 1e-2
    torch.testing.assert_close(decoder.decode(latent, 0, whole.shape[1]), whole, rtol=0, atol=2e-6)


def test_a_broken_cell_is_heard_exactly_as_far_as_the_reach_says(kind, decoder):
    latent, cell = audio_latent(NUM_CELLS), 15
    latent[:, cell] = torch.nan
    broken = made_in_one_call(kind, latent)[0].isnan().nonzero().flatten()
    first, last = ((int(sample) // HOP[kind] + 3) // 4 for sample in (broken[0], broken[-1]))
    assert (last - cell, cell - first) == decoder.reach == REACH[kind]
