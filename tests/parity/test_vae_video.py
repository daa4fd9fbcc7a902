"""Our decoding and encoding against one call of the VAE, in the published layer structures, and against the pipelines.

Bits cannot be equal: the rounding of a convolution depends on how many frames it is given. 1e-4 standard deviations in
float32 are what this leaves with random weights; in float64 the same code agrees to the last digits, so nothing else is
in it.
"""

from __future__ import annotations

import warnings

import pytest
import torch
from PIL import Image

from ltx_ray.models.ltx2.video_layers import stream_through
from ltx_ray.models.ltx2.video_pixels import denormalised, from_uint8, normalised, to_uint8
from ltx_ray.models.ltx2.video_span import Span
from ltx_ray.models.ltx2.video_vae import StreamingVideoDecoder, StreamingVideoEncoder, decoder_layers
from tests.unit.models.ltx2.vae_examples import VIDEO, video_latent, video_vae

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from diffusers import LTX2Pipeline
    from diffusers.video_processor import VideoProcessor

REACH = {"2.0": 22, "2.3": 14}  # latents, measured on random nets
LENGTH = 26


@pytest.fixture(scope="module", params=sorted(VIDEO))
def structure(request):
    return request.param


@pytest.fixture(scope="module")
def vae(structure):
    return video_vae(VIDEO[structure], torch.float32)


@pytest.fixture(scope="module")
def latent(vae):
    return denormalised(video_latent(LENGTH), vae)


@pytest.fixture(scope="module")
def whole(vae, latent):
    with torch.no_grad():
        return vae.decode(latent, return_dict=False)[0]


@torch.no_grad()
def streamed(vae, latent, frames_per_call):
    span = Span(0, LENGTH, LENGTH)
    return torch.cat(list(stream_through(decoder_layers(vae.decoder), iter([latent]), span, frames_per_call)), 2)


@pytest.mark.parametrize("frames_per_call", [1, 2, 5, 8, 1000])
def test_streamed_pixels_equal_one_call_within_a_ten_thousandth_of_their_spread(vae, latent, whole, frames_per_call):
    error = (streamed(vae, latent, frames_per_call) - whole).abs().max() / whole.std()
    assert error < 1e-4


def test_in_float64_nothing_is_left_of_the_difference(structure, latent):
    vae = video_vae(VIDEO[structure])
    with torch.no_grad():
        exact = vae.decode(latent.double(), return_dict=False)[0]
    torch.testing.assert_close(streamed(vae, latent.double(), 8), exact, rtol=0, atol=1e-11)


def test_the_reach_computed_from_the_layers_is_the_measured_one(structure, vae):
    assert StreamingVideoDecoder(vae).reach == (REACH[structure], REACH[structure])


@pytest.mark.parametrize(("start", "stop"), [(0, 9), (96, 113), (190, 201)])
def test_a_window_equals_the_same_frames_of_the_whole_but_for_rounding_to_the_next_level(vae, whole, start, stop):
    frames = torch.cat(list(StreamingVideoDecoder(vae).decode(video_latent(LENGTH), start, stop)))
    difference = (frames.int() - to_uint8(whole[:, :, start:stop]).int()).abs()
    assert difference.max() <= 1
    assert (difference > 0).float().mean() < 1e-3


def test_a_streamed_latent_equals_one_call_of_the_encoder(vae):
    frames = (256 * torch.rand(41, 64, 64, 3, generator=torch.Generator().manual_seed(2))).to(torch.uint8)
    with torch.no_grad():
        mode = vae.encode(from_uint8(frames, vae)).latent_dist.mode()
    expected = normalised(mode, vae)
    error = (StreamingVideoEncoder(vae).encode(frames) - expected).abs().max() / expected.std()
    assert error < 5e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_latents_are_denormalised_and_normalised_as_the_pipelines_do(vae, dtype):
    vae = video_vae(VIDEO["2.3"], dtype)
    latent, stats = video_latent(3), (vae.latents_mean, vae.latents_std, vae.config.scaling_factor)
    assert torch.equal(denormalised(latent, vae), LTX2Pipeline._denormalize_latents(latent.to(dtype), *stats))
    assert torch.equal(
        normalised(latent.to(dtype), vae), LTX2Pipeline._normalize_latents(latent.to(dtype).float(), *stats)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_pixels_become_the_pictures_the_pipelines_return(dtype):
    pixels = (3 * torch.randn(1, 3, 4, 64, 64, generator=torch.Generator().manual_seed(2))).to(dtype)
    (pictures,) = VideoProcessor(vae_scale_factor=32).postprocess_video(pixels, output_type="pil")
    for ours, theirs in zip(to_uint8(pixels), pictures, strict=True):
        assert ours.numpy().tobytes() == theirs.tobytes()


def test_pictures_become_the_pixels_the_pipelines_encode():
    vae = video_vae(VIDEO["2.3"], torch.float32)
    frames = (256 * torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(2))).to(torch.uint8)
    theirs = VideoProcessor(vae_scale_factor=32).preprocess_video([Image.fromarray(frame.numpy()) for frame in frames])
    assert torch.equal(from_uint8(frames, vae), theirs)
