from __future__ import annotations

import gc
import re

import pytest
import torch

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.video_layers import span_through, stream_through
from ltx_ray.models.ltx2.video_pixels import denormalised, from_uint8, normalised, to_uint8
from ltx_ray.models.ltx2.video_span import Span
from ltx_ray.models.ltx2.video_vae import StreamingVideoDecoder, StreamingVideoEncoder, decoder_layers
from tests.unit.models.ltx2.vae_examples import SHORT_VIDEO, short_video_vae, video_latent, video_vae

STRUCTURES = ["2.0", "2.3", "causal", "narrowing"]
LENGTH = 25  # latents, more than any short decoder reaches to both sides of the one in the middle
FRAMES = 193
MIDDLE = 15
OWN = slice(8 * 14 + 1, 8 * 15 + 1)  # its frames


@pytest.fixture(scope="module", params=STRUCTURES)
def vae(request):
    return short_video_vae(request.param)


@pytest.fixture(scope="module")
def whole(vae):
    """The frames of one call of the VAE."""
    with torch.no_grad():
        return to_uint8(vae.decode(denormalised(video_latent(LENGTH), vae), return_dict=False)[0])


def decoded(vae, start, stop, *, latent=None, frames_per_call=8):
    decoder = StreamingVideoDecoder(vae, frames_per_call=frames_per_call)
    return torch.cat(list(decoder.decode(video_latent(LENGTH) if latent is None else latent, start, stop)))


@pytest.mark.parametrize("frames_per_call", [1, 3, 8, 64])
def test_a_stream_equals_one_call_whatever_the_size_of_its_pieces(vae, whole, frames_per_call):
    assert torch.equal(decoded(vae, 0, FRAMES, frames_per_call=frames_per_call), whole)


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (0, 60), (41, 42), (48, 49), (57, 90), (185, 193), (192, 193)])
def test_a_window_equals_the_same_frames_of_the_whole(vae, whole, start, stop):
    assert torch.equal(decoded(vae, start, stop), whole[start:stop])


def test_latents_out_of_reach_are_never_looked_at(vae, whole):
    before, after = StreamingVideoDecoder(vae).reach
    latent = torch.full_like(video_latent(LENGTH), torch.nan)
    near = slice(MIDDLE - before, MIDDLE + after + 1)
    latent[:, :, near] = video_latent(LENGTH)[:, :, near]
    assert torch.equal(decoded(vae, OWN.start, OWN.stop, latent=latent), whole[OWN])


def test_every_latent_within_reach_matters(vae):
    before, after = StreamingVideoDecoder(vae).reach
    for idx in (MIDDLE - before, MIDDLE + after):
        latent = denormalised(video_latent(LENGTH), vae)
        latent[:, :, idx] = torch.nan
        with torch.no_grad():
            frames = vae.decode(latent, return_dict=False)[0][0, 0, OWN]
        assert frames.isnan().any()


def test_latents_from_the_middle_of_a_timeline_give_just_the_frames_that_need_no_others(vae, whole):
    layers, span = decoder_layers(vae.decoder), Span(3, 22, LENGTH)
    latent = denormalised(video_latent(LENGTH), vae)[:, :, span.start : span.stop]
    with torch.no_grad():
        frames = to_uint8(torch.cat(list(stream_through(layers, iter([latent]), span, 8)), 2))
    first, stop, total = span_through(layers, span)
    assert total == FRAMES
    assert torch.equal(frames, whole[first:stop])


@pytest.mark.parametrize("structure", ["2.0", "2.3"])
@pytest.mark.parametrize("limit", [1, 4, 8])
def test_no_layer_works_on_more_frames_at_once_than_asked(structure, limit):
    vae, seen = short_video_vae(structure), {"doubling": 0, "other": 0}
    upsamplers = [module for up in vae.decoder.up_blocks for module in up.upsamplers]
    doubling = [module.conv.conv for module in upsamplers if module.stride[0] == 2]

    def watch(kind):
        def hook(_module, _inputs, output):
            seen[kind] = max(seen[kind], output.shape[2])

        return hook

    convs = [module for module in vae.decoder.modules() if isinstance(module, torch.nn.Conv3d)]
    kinds = ["doubling" if any(module is other for other in doubling) else "other" for module in convs]
    hooks = [module.register_forward_hook(watch(kind)) for module, kind in zip(convs, kinds, strict=True)]
    for _ in StreamingVideoDecoder(vae, frames_per_call=limit).decode(video_latent(12), 0, 89):
        pass
    for hook in hooks:
        hook.remove()
    assert seen == {"doubling": max(1, limit // 2), "other": limit}


def test_one_latent_is_one_frame(vae):
    latent = video_latent(1)
    with torch.no_grad():
        alone = to_uint8(vae.decode(denormalised(latent, vae), return_dict=False)[0])
    assert torch.equal(decoded(vae, 0, 1, latent=latent), alone)


@pytest.mark.parametrize("frames_per_call", [1, 4])
def test_pieces_are_uint8_pictures_and_no_longer_than_asked(frames_per_call):
    decoder = StreamingVideoDecoder(short_video_vae("2.3"), frames_per_call=frames_per_call)
    pieces = list(decoder.decode(video_latent(4), 3, 20))
    assert {piece.dtype for piece in pieces} == {torch.uint8}
    assert {piece.shape[1:] for piece in pieces} == {(64, 64, 3)}
    assert 1 <= min(map(len, pieces)) <= max(map(len, pieces)) <= frames_per_call
    assert sum(map(len, pieces)) == 17


def test_what_a_stream_holds_between_frames_does_not_grow():
    def held_bytes() -> int:
        tensors = [item for item in gc.get_objects() if type(item) is torch.Tensor]
        return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values())

    latent, held = video_latent(50), []
    for idx, piece in enumerate(StreamingVideoDecoder(short_video_vae("2.0")).decode(latent, 0, 220)):
        del piece
        if idx in (10, 26):
            held.append(held_bytes())
    # some layers have more of a piece left than others; 128 frames kept anywhere would be far more
    assert held[1] < 1.02 * held[0]


def test_gradients_are_neither_made_nor_turned_off_for_the_caller():
    pieces = StreamingVideoDecoder(short_video_vae("2.3")).decode(video_latent(3), 0, 17)
    piece = next(pieces)
    assert torch.is_grad_enabled()
    assert not piece.requires_grad


def test_an_empty_window_has_no_frames():
    assert list(StreamingVideoDecoder(short_video_vae("2.3")).decode(video_latent(3), 5, 5)) == []


@pytest.mark.parametrize(("start", "stop"), [(-1, 5), (0, 18), (9, 8)])
def test_a_window_outside_the_timeline_is_refused(start, stop):
    decoder = StreamingVideoDecoder(short_video_vae("2.3"))
    said = rf"^video latent: frames \[{start}, {stop}\) are not inside the 17 it decodes to$"
    with pytest.raises(ModelError, match=said):
        next(decoder.decode(video_latent(3), start, stop))


def test_two_videos_at_once_are_refused():
    with pytest.raises(ModelError, match=r"^video latent: batch 2 is not 1; decode one video at a time$"):
        next(StreamingVideoDecoder(short_video_vae("2.3")).decode(video_latent(3).repeat(2, 1, 1, 1, 1), 0, 1))


@pytest.mark.parametrize(
    "change",
    [
        {"timestep_conditioning": True},
        {"decoder_inject_noise": (False, False, True, False, False)},
        {"encoder_causal": False},
        {"downsample_type": ("conv", "temporal", "spatiotemporal", "spatiotemporal")},
    ],
)
def test_a_vae_that_cannot_be_streamed_is_refused_by_the_field_that_says_so(change):
    vae = video_vae({**SHORT_VIDEO["2.3"], **change})
    ((field, value),) = change.items()
    said = rf"^video VAE config: {field}={re.escape(str(value))} cannot be streamed; no LTX-2 checkpoint has it$"
    for cls in (StreamingVideoDecoder, StreamingVideoEncoder):
        with pytest.raises(ModelError, match=said):
            cls(vae)


def pictures(num_frames: int) -> torch.Tensor:
    noise = torch.rand(num_frames, 64, 64, 3, generator=torch.Generator().manual_seed(2))
    return (256 * noise).to(torch.uint8)


@pytest.mark.parametrize("num_frames", [1, 9, 25])
@pytest.mark.parametrize("structure", ["2.0", "2.3"])
def test_encoding_frame_by_frame_equals_one_call(structure, num_frames):
    vae, frames = short_video_vae(structure), pictures(num_frames)
    with torch.no_grad():
        mode = vae.encode(from_uint8(frames, vae)).latent_dist.mode()
    latent = StreamingVideoEncoder(vae).encode(frames)
    assert latent.dtype == torch.float32
    # the mode is exact to 1e-12 in float64; float32 is what a latent is kept in
    torch.testing.assert_close(latent, normalised(mode, vae), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("num_frames", "near"), [(0, "1 and 9"), (8, "1 and 9"), (18, "17 and 25")])
def test_frames_that_make_no_whole_latents_are_refused(num_frames, near):
    with pytest.raises(ModelError, match=rf"^frames to encode: {num_frames} is not 8n\+1; nearest are {near}$"):
        StreamingVideoEncoder(short_video_vae("2.3")).encode(torch.zeros(num_frames, 64, 64, 3, dtype=torch.uint8))


def test_frames_of_a_size_that_makes_no_whole_latents_are_refused():
    with pytest.raises(ModelError, match=r"^frames to encode: 96x80 are not multiples of 32$"):
        StreamingVideoEncoder(short_video_vae("2.3")).encode(torch.zeros(1, 80, 96, 3, dtype=torch.uint8))
