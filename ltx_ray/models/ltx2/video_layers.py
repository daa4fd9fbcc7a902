"""The layers of diffusers' LTX-2 video VAE, driven as streams.

Weights, norms and spatial padding are the modules' own; only time is handled here. A convolution carries the input
frames its next result needs, a residual waits for the results it is added to. Norms are per location and know no time,
so a stream through these layers equals one call of the module up to the rounding of convolution kernels, which depends
on the number of frames in a call.

Source: diffusers 0.42.1, models/autoencoders/autoencoder_kl_ltx2.py, the ``forward`` of the module named by each class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from ltx_ray.models.ltx2.video_pieces import FRAMES_AXIS, Delay, split, with_first_doubled, without_first
from ltx_ray.models.ltx2.video_span import Span

Module = Any  #: a module of diffusers, whose attributes carry no types


class Layer(Protocol):
    def span(self, span: Span) -> Span:
        """The frames that come out where those of ``span`` go in."""

    def stream(self, pieces: Iterator[Tensor], span: Span, limit: int) -> Iterator[Tensor]:
        """The frames of ``self.span(span)``, from those of ``span`` in pieces of at most ``limit``, in such pieces."""


def span_through(layers: Sequence[Layer], span: Span) -> Span:
    """The frames that come out of all the layers where those of ``span`` go in."""
    for layer in layers:
        span = layer.span(span)
    return span


def stream_through(layers: Sequence[Layer], pieces: Iterator[Tensor], span: Span, limit: int) -> Iterator[Tensor]:
    """The frames of ``span_through(layers, span)``. No call of any layer sees more than ``limit`` new frames."""
    pieces = split(pieces, limit)
    for layer in layers:
        pieces, span = layer.stream(pieces, span, limit), layer.span(span)
    return pieces


class PerFrame:
    """What treats every frame alone."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self._function = function

    def span(self, span: Span) -> Span:
        return span

    def stream(self, pieces: Iterator[Tensor], span: Span, limit: int) -> Iterator[Tensor]:
        return map(self._function, pieces)


class Convolution:
    """LTX2VideoCausalConv3d: the first frame repeated before the timeline and, unless causal, the last one after it."""

    def __init__(self, module: Module, *, causal: bool) -> None:
        self._conv = module.conv
        self._kernel = module.kernel_size[0]
        self._after = 0 if causal else (self._kernel - 1) // 2
        self._before = self._kernel - 1 - self._after

    def span(self, span: Span) -> Span:
        return span.convolved(self._before, self._after)

    def stream(self, pieces: Iterator[Tensor], span: Span, limit: int) -> Iterator[Tensor]:
        carried: Tensor | None = None
        for piece in pieces:
            if carried is None:
                carried = piece[:, :, :1].repeat(1, 1, 0 if span.start else self._before, 1, 1)
            window = [torch.cat([carried, piece], FRAMES_AXIS)]
            del piece
            carried = window[0][:, :, 1 - self._kernel :].clone()
            if window[0].shape[FRAMES_AXIS] >= self._kernel:
                yield self._conv(window.pop())
        if carried is None or not (self._after and span.has_end):
            return
        window = [torch.cat([carried, carried[:, :, -1:].repeat(1, 1, self._after, 1, 1)], FRAMES_AXIS)]
        del carried
        if window[0].shape[FRAMES_AXIS] >= self._kernel:
            yield self._conv(window.pop())


class Residual:
    """LTX2VideoResnetBlock3d without noise and timestep."""

    def __init__(self, block: Module, *, causal: bool) -> None:
        self._block = block
        self._first = Convolution(block.conv1, causal=causal)
        self._second = Convolution(block.conv2, causal=causal)

    def span(self, span: Span) -> Span:
        return self._second.span(self._first.span(span))

    def stream(self, pieces: Iterator[Tensor], span: Span, limit: int) -> Iterator[Tensor]:
        inner = self._first.span(span)
        inputs = Delay(self.span(span).start - span.start)

        def add_shortcut(hidden: Tensor) -> Tensor:
            return hidden.add_(self._shortcut(inputs.take(hidden.shape[FRAMES_AXIS])))

        pieces = map(inputs.remember, pieces)
        pieces = self._first.stream(map(self._before_first, pieces), span, limit)
        return map(add_shortcut, self._second.stream(map(self._before_second, pieces), inner, limit))

    def _before_first(self, hidden: Tensor) -> Any:
        return self._block.nonlinearity(self._block.norm1(hidden))

    def _before_second(self, hidden: Tensor) -> Any:
        return self._block.dropout(self._block.nonlinearity(self._block.norm2(hidden)))

    def _shortcut(self, inputs: Tensor) -> Tensor:
        if self._block.norm3 is not None:
            inputs = self._block.norm3(inputs.movedim(1, -1)).movedim(-1, 1)
        if self._block.conv_shortcut is not None:
            inputs = self._block.conv_shortcut(inputs)
        return inputs


class Upsampling:
    """LTX2VideoUpsampler3d: channels become frames, rows and columns; the timeline's first frame becomes one frame."""

    def __init__(self, module: Module, *, causal: bool) -> None:
        self._conv = Convolution(module.conv, causal=causal)
        self._stride: tuple[int, int, int] = module.stride
        #: 0 where the module has no residual
        self._repeats = _product(module.stride) // module.upscale_factor if module.residual else 0

    def span(self, span: Span) -> Span:
        return self._conv.span(span).upsampled(self._stride[0])

    def stream(self, pieces: Iterator[Tensor], span: Span, limit: int) -> Iterator[Tensor]:
        frames = self._stride[0]
        inputs = Delay(self._conv.span(span).start - span.start)

        def expand(hidden: Tensor) -> Tensor:
            expanded = _unfold(hidden, self._stride)
            if self._repeats:
                residual = _unfold(inputs.take(hidden.shape[FRAMES_AXIS]), self._stride)
                expanded = expanded.add_(residual.repeat(1, self._repeats, 1, 1, 1))
            return expanded

        pieces = split(pieces, max(1, limit // frames))
        if self._repeats:
            pieces = map(inputs.remember, pieces)
        pieces = map(expand, self._conv.stream(pieces, span, limit))
        return split(without_first(pieces, 0 if span.start else frames - 1), limit)


class Downsampling:
    """LTX2VideoDownsampler3d, causal, from the timeline's start; after the first frame pieces are whole strides."""

    def __init__(self, module: Module) -> None:
        self._conv = Convolution(module.conv, causal=True)
        self._stride: tuple[int, int, int] = module.stride
        self._group: int = module.group_size

    def span(self, span: Span) -> Span:
        return span.downsampled(self._stride[0])

    def stream(self, pieces: Iterator[Tensor], span: Span, limit: int) -> Iterator[Tensor]:
        inputs = Delay(0)

        def gather(hidden: Tensor) -> Tensor:
            residual = _fold(inputs.take(hidden.shape[FRAMES_AXIS]), self._stride)
            return _fold(hidden, self._stride).add_(torch.unflatten(residual, 1, (-1, self._group)).mean(dim=2))

        pieces = map(inputs.remember, with_first_doubled(pieces, self._stride[0] - 1))
        return map(gather, self._conv.stream(pieces, span, limit))


def _unfold(hidden: Tensor, stride: tuple[int, int, int]) -> Tensor:
    """[B, C * st * sh * sw, F, H, W] to [B, C, F * st, H * sh, W * sw]."""
    batch, _, frames, height, width = hidden.shape
    hidden = hidden.reshape(batch, -1, *stride, frames, height, width).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return hidden.flatten(6, 7).flatten(4, 5).flatten(2, 3)


def _fold(hidden: Tensor, stride: tuple[int, int, int]) -> Tensor:
    """[B, C, F * st, H * sh, W * sw] to [B, C * st * sh * sw, F, H, W]."""
    for axis in (4, 3, 2):
        hidden = torch.unflatten(hidden, axis, (-1, stride[axis - 2]))
    return hidden.permute(0, 1, 3, 5, 7, 2, 4, 6).flatten(1, 4)


def _product(stride: tuple[int, int, int]) -> int:
    return stride[0] * stride[1] * stride[2]
