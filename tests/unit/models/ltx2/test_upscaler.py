"""Statistics off, network, statistics on."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ltx_ray.models.ltx2.folder import LTX2LatentUpsamplerModel
from ltx_ray.models.ltx2.tiny_configs import FLAVOURS, upsamplers
from ltx_ray.models.ltx2.upscaler import Ltx2Upscaler
from ltx_ray.sampling.noise import draw

MEAN, STD = draw(1, (128,)), draw(2, (128,)).abs() + 0.5


class Seen(nn.Module):
    """A network that hands on what it gets."""

    device, dtype = torch.device("cpu"), torch.float32

    def forward(self, latent):
        self.latent = latent
        return latent


def test_the_network_sees_the_latent_as_the_vae_makes_it_and_we_get_it_normalised():
    network, latent = Seen(), draw(3, (1, 128, 2, 2, 3))
    out = Ltx2Upscaler(network, MEAN, STD, scaling_factor=2.0).upscale(latent)
    torch.testing.assert_close(network.latent[0, 5], latent[0, 5] * STD[5] / 2.0 + MEAN[5])
    torch.testing.assert_close(out, latent)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("latent_upsampler", (1, 128, 3, 4, 8)),
        ("latent_upsampler_x1.5", (1, 128, 3, 3, 6)),
        ("temporal_upsampler", (1, 128, 5, 2, 4)),
    ],
)
def test_every_upsampler_makes_the_size_it_is_for(flavour, name, shape):
    network = LTX2LatentUpsamplerModel(**upsamplers(flavour)[name])
    out = Ltx2Upscaler(network, MEAN, STD).upscale(draw(3, (1, 128, 3, 2, 4)))
    assert tuple(out.shape) == shape
    assert out.dtype == torch.float32
    assert out.is_contiguous()


def test_latents_are_float32_whatever_the_network_computes_in():
    network = LTX2LatentUpsamplerModel(**upsamplers("2.3")["latent_upsampler"]).to(torch.bfloat16)
    assert Ltx2Upscaler(network, MEAN, STD).upscale(draw(3, (1, 128, 2, 2, 2))).dtype == torch.float32
