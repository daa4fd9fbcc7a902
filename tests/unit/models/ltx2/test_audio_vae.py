from __future__ import annotations

import re

import pytest
import torch

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.audio_vae import WindowedAudioDecoder
from tests.unit.models.ltx2.vae_examples import CELL_CHANNELS, HOP, audio_latent, audio_vae, vocoder

NUM_CELLS = 48


@pytest.fixture(scope="module", params=["short plain", "short extending"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def latent():
    return audio_latent(NUM_CELLS)


@pytest.fixture(scope="module")
def whole(kind, latent):
    """All samples of one call of VAE and vocoder, as diffusers' pipelines make them."""
    vae = audio_vae()
    denormalised = latent * vae.latents_std.float() + vae.latents_mean.float()
    with torch.no_grad():
        mel = vae.decode(denormalised.unflatten(2, (-1, 2)).transpose(1, 2).double(), return_dict=False)[0]
        return vocoder(kind)(mel)[0].float()


def decoder(kind, cells_per_call=16, dtype=torch.float64):
    return WindowedAudioDecoder(audio_vae(dtype), vocoder(kind, dtype), cells_per_call=cells_per_call)


def test_windows_equal_one_call_for_every_sample(kind, latent, whole):
    assert whole.shape == (2, (4 * NUM_CELLS - 3) * HOP[kind])
    sound = decoder(kind).decode(latent, 0, whole.shape[1])
    assert sound.dtype == torch.float32
    # float64 inside, so only the last rounding to float32 can differ
    torch.testing.assert_close(sound, whole, rtol=0, atol=1e-7)


def test_a_range_is_cut_at_the_sample_and_has_the_same_bits_as_the_whole(kind, latent):
    one = decoder(kind, dtype=torch.float32)
    total = (4 * NUM_CELLS - 3) * HOP[kind]
    sound = one.decode(latent, 0, total)
    edge = (4 * 16 - 3) * HOP[kind]  # where the second window begins
    for start, stop in [(0, 1), (edge - 1, edge), (edge, edge + 1), (edge - 77, edge + 101), (total - 1, total)]:
        assert torch.equal(one.decode(latent, start, stop), sound[:, start:stop])


def test_an_empty_range_is_silence_of_no_length(kind, latent):
    assert decoder(kind).decode(latent, 5, 5).shape == (2, 0)


def test_one_cell_is_one_mel_frame(kind):
    assert decoder(kind).decode(audio_latent(1), 0, HOP[kind]).isfinite().all()


def test_cells_out_of_reach_are_never_looked_at(kind, latent, whole):
    one = decoder(kind, cells_per_call=1)
    before, after = one.reach
    cell = before + 1
    hidden = torch.full_like(latent, torch.nan)
    hidden[:, cell - before : cell + after + 1] = latent[:, cell - before : cell + after + 1]
    own = slice((4 * cell - 3) * HOP[kind], (4 * cell + 1) * HOP[kind])
    torch.testing.assert_close(one.decode(hidden, own.start, own.stop), whole[:, own], rtol=0, atol=1e-7)


def test_every_cell_within_reach_is_looked_at(kind, latent):
    one = decoder(kind, cells_per_call=1)
    before, after = one.reach
    cell = before + 1
    for broken in (cell - before, cell + after):
        changed = latent.clone()
        changed[:, broken] = torch.nan
        assert one.decode(changed, (4 * cell - 3) * HOP[kind], (4 * cell + 1) * HOP[kind]).isnan().any()


def test_samples_after_the_last_cell_are_refused(kind):
    total = 5 * HOP[kind]
    said = re.escape(
        f"audio latent: samples [0, {total + 1}) of batch 1 are not inside the {total} samples of batch 1 "
        "that 2 cells decode to"
    )
    with pytest.raises(ModelError, match=f"^{said}$"):
        decoder(kind).decode(audio_latent(2), 0, total + 1)


def test_two_sounds_at_once_are_refused(kind):
    with pytest.raises(ModelError, match="of batch 2 are not inside"):
        decoder(kind).decode(audio_latent(2).repeat(2, 1, 1), 0, 1)


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"mid_block_add_attention": True}, "True"),
        ({"attn_resolutions": (64,)}, "(64,)"),
        ({"causality_axis": "width"}, "width"),
        ({"causality_axis": "none", "norm_type": "group", "base_channels": 32}, "none"),
        ({"ch_mult": (1, 2)}, "(1, 2)"),
    ],
)
def test_a_vae_that_hears_all_of_time_at_once_is_refused_by_the_field_that_says_so(change, shown):
    said = rf"^audio VAE config: {next(iter(change))}={re.escape(shown)} cannot be decoded in windows; no LTX-2"
    with pytest.raises(ModelError, match=said):
        WindowedAudioDecoder(audio_vae(**{"base_channels": CELL_CHANNELS, **change}), vocoder("short plain"))


def test_a_vocoder_whose_samples_do_not_fit_its_mel_frames_is_refused():
    from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder

    odd = LTX2Vocoder(in_channels=16, hidden_channels=16, upsample_kernel_sizes=[5], upsample_factors=[2]).double()
    said = "^vocoder: 11 samples from 2 cells are not 10, so sound has no exact place in time$"
    with pytest.raises(ModelError, match=said):
        WindowedAudioDecoder(audio_vae(), odd).decode(audio_latent(2), 0, 1)
