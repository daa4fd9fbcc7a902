"""Exact decoding and encoding of any length in flat memory, with diffusers' LTX-2 video VAE.

The result equals one call of the VAE up to 1e-4 standard deviations, for any window and piece size, because the state
of every convolution is carried (``video_layers``). Pieces and windows still show in the last bits, hence in a rare
rounded pixel: so both are constants or part of a task's recipe.
What cannot be streamed is refused by name: a decoder that is told a timestep or adds noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.video_layers import (
    Convolution,
    Downsampling,
    Layer,
    Module,
    PerFrame,
    Residual,
    Upsampling,
    span_through,
    stream_through,
)
from ltx_ray.models.ltx2.video_pieces import FRAMES_AXIS, without_first
from ltx_ray.models.ltx2.video_pixels import VideoVae, check_single, denormalised, from_uint8, normalised, to_uint8
from ltx_ray.models.ltx2.video_span import Span, reach_through

FRAMES_PER_CALL = 8


class StreamingVideoDecoder:
    """Satisfies ``spec.protocols.VideoDecoder``.

    ``frames_per_call`` bounds the frames any layer works on at once, and with them memory: 1 is the smallest, 8 the
    fastest that gains. It can move a pixel by one level.

    Raises:
        ModelError: the VAE's decoder cannot be streamed.
    """

    def __init__(self, vae: VideoVae, *, frames_per_call: int = FRAMES_PER_CALL) -> None:
        _check_streamable(vae)
        self._vae = vae
        self._frames_per_call = frames_per_call
        self._step: int = vae.temporal_compression_ratio
        self._layers = decoder_layers(vae.decoder)
        #: latents that a latent's own frames depend on before and after it
        self.reach = reach_through(partial(span_through, self._layers), self._step)

    @torch.no_grad()
    def decode(self, latent_BCFHW: Tensor, start: int, stop: int) -> Iterator[Tensor]:
        """Frames [start, stop), uint8 [n, height, width, 3] on the CPU with 1 <= n <= ``frames_per_call``.

        Only the latents within reach of the window are looked at; they move to the VAE's device a few at a time.

        Args:
            latent_BCFHW: normalised, batch 1, any device; the whole timeline, whose frame 0 is frame 0 here.
        Raises:
            ModelError: the window is not inside the timeline.
        """
        num_latents = latent_BCFHW.shape[FRAMES_AXIS]
        check_single(latent_BCFHW, start, stop, (num_latents - 1) * self._step + 1)
        if start == stop:
            return
        span = self._window(start, stop, num_latents)
        first = span_through(self._layers, span).start
        latents = torch.split(latent_BCFHW[:, :, span.start : span.stop], self._frames_per_call, FRAMES_AXIS)
        pieces = (denormalised(piece, self._vae) for piece in latents)
        remaining = stop - start
        frames = stream_through(self._layers, pieces, span, self._frames_per_call)
        for piece in map(to_uint8, without_first(frames, start - first)):
            yield piece[:remaining]
            remaining -= len(piece)
            if remaining <= 0:
                return

    def _window(self, start: int, stop: int, num_latents: int) -> Span:
        """The latents that the frames [start, stop) depend on."""
        first, last = (-(-frame // self._step) for frame in (start, stop - 1))
        before, after = self.reach
        return Span(max(0, first - before), min(num_latents, last + after + 1), num_latents)


class StreamingVideoEncoder:
    """Satisfies ``spec.protocols.VideoEncoder``. The encoder is causal: it sees one frame, then eight at a time.

    Raises:
        ModelError: the VAE's encoder cannot be streamed.
    """

    def __init__(self, vae: VideoVae) -> None:
        _check_streamable(vae)
        self._vae = vae
        self._step: int = vae.temporal_compression_ratio
        self._layers = encoder_layers(vae.encoder)

    @torch.no_grad()
    def encode(self, frames_NHWC: Tensor) -> Tensor:
        """Normalised latent, float32 [1, C, F, H, W] on the CPU: the mode of the posterior, as the pipelines take it.

        Args:
            frames_NHWC: uint8, step * n + 1 frames, sides that are multiples of the VAE's factor.
        Raises:
            ModelError: another number of frames, or another size.
        """
        num_frames, height, width, _ = frames_NHWC.shape
        self._check_shape(num_frames, height, width)
        bounds = [0, *range(1, num_frames + 1, self._step)]
        pieces = (from_uint8(frames_NHWC[a:b], self._vae) for a, b in pairwise(bounds))
        moments = stream_through(self._layers, pieces, Span(0, num_frames, num_frames), self._step)
        channels = self._vae.config["latent_channels"]
        return torch.cat([normalised(piece[:, :channels], self._vae).cpu() for piece in moments], FRAMES_AXIS)

    def _check_shape(self, num_frames: int, height: int, width: int) -> None:
        step, factor = self._step, self._vae.spatial_compression_ratio
        if num_frames < 1 or (num_frames - 1) % step:
            below = max(0, num_frames - 1) // step * step + 1
            raise ModelError(f"frames to encode: {num_frames} is not {step}n+1; nearest are {below} and {below + step}")
        if height % factor or width % factor:
            raise ModelError(f"frames to encode: {width}x{height} are not multiples of {factor}")


def decoder_layers(decoder: Module) -> list[Layer]:
    """The decoder's forward pass, layer by layer, from latents to pixels."""
    causal = decoder.is_causal
    layers: list[Layer] = [Convolution(decoder.conv_in, causal=causal)]
    layers += [Residual(block, causal=causal) for block in decoder.mid_block.resnets]
    for up in decoder.up_blocks:
        if up.conv_in is not None:
            layers.append(Residual(up.conv_in, causal=causal))
        layers += [Upsampling(module, causal=causal) for module in up.upsamplers or ()]
        layers += [Residual(block, causal=causal) for block in up.resnets]
    layers.append(PerFrame(lambda hidden: decoder.conv_act(decoder.norm_out(hidden))))
    layers.append(Convolution(decoder.conv_out, causal=causal))
    layers.append(PerFrame(lambda hidden: _to_picture(hidden, decoder.patch_size)))
    return layers


def encoder_layers(encoder: Module) -> list[Layer]:
    """The encoder's forward pass up to the mean and one variance, layer by layer, from pixels."""
    layers: list[Layer] = [PerFrame(lambda pixels: _to_patches(pixels, encoder.patch_size))]
    layers.append(Convolution(encoder.conv_in, causal=True))
    for down in encoder.down_blocks:
        layers += [Residual(block, causal=True) for block in down.resnets]
        layers += [Downsampling(module) for module in down.downsamplers or ()]
    layers += [Residual(block, causal=True) for block in encoder.mid_block.resnets]
    layers.append(PerFrame(lambda hidden: encoder.conv_act(encoder.norm_out(hidden))))
    layers.append(Convolution(encoder.conv_out, causal=True))
    return layers


def _to_picture(hidden: Tensor, patch: int) -> Tensor:
    """[B, 3 * patch * patch, F, H, W] to [B, 3, F, H * patch, W * patch]; within a patch columns vary slowest."""
    batch, _, frames, height, width = hidden.shape
    hidden = hidden.reshape(batch, -1, patch, patch, frames, height, width).permute(0, 1, 4, 5, 3, 6, 2)
    return hidden.flatten(5, 6).flatten(3, 4)


def _to_patches(pixels: Tensor, patch: int) -> Tensor:
    """The inverse of ``_to_picture``."""
    hidden = torch.unflatten(torch.unflatten(pixels, 4, (-1, patch)), 3, (-1, patch))
    return hidden.permute(0, 1, 6, 4, 2, 3, 5).flatten(1, 3)


def _check_streamable(vae: VideoVae) -> None:
    config = vae.config
    noise = config["decoder_inject_noise"]
    wrong = {
        "timestep_conditioning": config["timestep_conditioning"],
        "decoder_inject_noise": noise if isinstance(noise, bool) else any(noise),
        "patch_size_t": config["patch_size_t"] != 1,
        "encoder_causal": not config["encoder_causal"],
        "downsample_type": "conv" in config["downsample_type"],
    }
    for field, is_wrong in wrong.items():
        if is_wrong:
            raise ModelError(
                f"video VAE config: {field}={config[field]} cannot be streamed; no LTX-2 checkpoint has it"
            )
