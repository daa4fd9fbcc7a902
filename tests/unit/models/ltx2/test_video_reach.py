"""The reach that planning reads off a configuration is the one that the layers have."""

from __future__ import annotations

import pytest
from diffusers.models.autoencoders.autoencoder_kl_ltx2 import AutoencoderKLLTX2Video

from ltx_ray.models.ltx2.tiny_configs import FLAVOURS, video_vae
from ltx_ray.models.ltx2.tiny_facts import TINY
from ltx_ray.models.ltx2.video_reach import decoder_reach
from ltx_ray.models.ltx2.video_vae import StreamingVideoDecoder
from tests.unit.models.ltx2 import vae_examples as examples

#: Of the published checkpoints, layer by layer; channels count because a stage that changes them has a block more.
PUBLISHED = {
    "2.0": {
        "decoder_block_out_channels": [256, 512, 1024],
        "decoder_layers_per_block": [5, 5, 5, 5],
        "decoder_spatio_temporal_scaling": [True, True, True],
        "upsample_factor": [2, 2, 2],
        "upsample_type": ["spatiotemporal"] * 3,
        "decoder_causal": False,
    },
    "2.3 and 2.5": {
        "decoder_block_out_channels": [256, 512, 512, 1024],
        "decoder_layers_per_block": [4, 6, 4, 2, 2],
        "decoder_spatio_temporal_scaling": [True, True, True, True],
        "upsample_factor": [2, 2, 1, 2],
        "upsample_type": ["spatiotemporal", "spatiotemporal", "temporal", "spatial"],
        "decoder_causal": False,
    },
}


@pytest.mark.parametrize(("name", "latents"), [("2.0", 22), ("2.3 and 2.5", 14)])
def test_published_decoders_reach_as_far_as_was_measured(name, latents):
    assert decoder_reach(PUBLISHED[name]) == (latents, latents)


@pytest.mark.parametrize("structure", examples.SHORT_VIDEO)
def test_the_configuration_tells_what_the_layers_do(structure):
    vae = examples.short_video_vae(structure)
    assert decoder_reach(dict(vae.config)) == StreamingVideoDecoder(vae).reach


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_constants_of_a_tiny_checkpoint_are_those_of_its_layers(flavour):
    layers = StreamingVideoDecoder(AutoencoderKLLTX2Video(**video_vae(flavour)))
    assert TINY[flavour].decoder_reach == layers.reach


def test_what_a_configuration_leaves_out_is_as_the_class_has_it():
    defaults = {"decoder_layers_per_block": [5, 5, 5, 5], "decoder_causal": True}
    assert decoder_reach({}) == decoder_reach(defaults)
    assert decoder_reach({"decoder_spatio_temporal_scaling": True}) == decoder_reach({})
