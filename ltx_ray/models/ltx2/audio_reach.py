"""How far sound depends on audio cells, followed backwards through the modules: windows with this context are exact.

Every function takes the inclusive range of a layer's results and returns that of the inputs they depend on. Padding at
a window's edge stands for inputs outside that range, so it changes nothing inside. What would depend on all of a
timeline is refused by name.
Source: diffusers 0.42.1, models/autoencoders/autoencoder_kl_ltx2_audio.py ``LTX2AudioDecoder`` and
pipelines/ltx2/vocoder.py, the ``forward`` of each class.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import nn

from ltx_ray.errors import ModelError

Module = Any  #: a module of diffusers, whose attributes carry no types


class Range(NamedTuple):
    first: int
    last: int

    def joined(self, other: Range) -> Range:
        return Range(min(self.first, other.first), max(self.last, other.last))


def cells_of_mel(mel: Range, decoder: Module) -> Range:
    """The latents that mel frames depend on."""
    mel = _causal(mel, decoder.conv_out)
    for level, stage in enumerate(decoder.up):
        if level:
            mel = _causal(Range(mel.first + 1, mel.last + 1), stage.upsample.conv)
            mel = Range(mel.first // 2, mel.last // 2)
        for block in reversed(stage.block):
            mel = _causal(_causal(mel, block.conv2), block.conv1)
    for block in (decoder.mid.block_2, decoder.mid.block_1):
        mel = _causal(_causal(mel, block.conv2), block.conv1)
    return _causal(mel, decoder.conv_in)


def mel_of_samples(samples: Range, vocoder: Module) -> Range:
    """The mel frames that samples depend on, through a plain or a bandwidth-extending vocoder."""
    if not hasattr(vocoder, "bwe_generator"):
        return _through_vocoder(samples, vocoder)
    stft = vocoder.mel_stft.stft_fn
    mel = _through_vocoder(samples, vocoder.bwe_generator)
    left, length = stft.window_length - stft.hop_length, stft.forward_basis.shape[-1]
    heard = Range(mel.first * stft.hop_length - left, mel.last * stft.hop_length - left + length - 1)
    return _through_vocoder(heard.joined(_through_upsampling(samples, vocoder.resampler)), vocoder.vocoder)


def check_windowable(vae: Module) -> None:
    """Raise ModelError unless time is causal, seen by convolutions only, and doubled as the VAE's factor says."""
    config = vae.config
    levels = len(config["ch_mult"])
    wrong = {
        "causality_axis": config["causality_axis"] != "height",
        "norm_type": config["norm_type"] != "pixel",
        "attn_resolutions": bool(config["attn_resolutions"]),
        "mid_block_add_attention": config["mid_block_add_attention"],
        "ch_mult": 2 ** (levels - 1) != vae.temporal_compression_ratio,
    }
    for field, is_wrong in wrong.items():
        if is_wrong:
            raise ModelError(
                f"audio VAE config: {field}={config[field]} cannot be decoded in windows; no LTX-2 checkpoint has it"
            )


def _through_vocoder(samples: Range, vocoder: Module) -> Range:
    samples = _activation(_convolution(samples, vocoder.conv_out), vocoder.act_out)
    per_layer = vocoder.resnets_per_upsample
    for layer in reversed(range(len(vocoder.upsamplers))):
        blocks = vocoder.resnets[layer * per_layer : (layer + 1) * per_layer]
        reached = samples
        for block in blocks:
            reached = reached.joined(_through_block(samples, block))
        samples = _transposed(reached, vocoder.upsamplers[layer])
    return _convolution(samples, vocoder.conv_in)


def _through_block(samples: Range, block: Module) -> Range:
    steps = list(zip(block.acts1, block.convs1, block.acts2, block.convs2, strict=True))
    for act1, conv1, act2, conv2 in reversed(steps):
        samples = _activation(_convolution(samples, conv2), act2)
        samples = _activation(_convolution(samples, conv1), act1)
    return samples


def _causal(frames: Range, module: Module) -> Range:
    kernel, dilation = module.conv.kernel_size[0], module.conv.dilation[0]
    return Range(frames.first - (kernel - 1) * dilation, frames.last)


def _convolution(samples: Range, conv: nn.Conv1d) -> Range:
    spread = (conv.kernel_size[0] - 1) * conv.dilation[0]
    left = spread // 2 if conv.padding == "same" else int(conv.padding[0])
    return Range(samples.first - left, samples.last - left + spread)


def _transposed(samples: Range, conv: nn.ConvTranspose1d) -> Range:
    kernel, stride, padding = conv.kernel_size[0], conv.stride[0], int(conv.padding[0])
    return Range(_ceil_div(samples.first + padding - kernel + 1, stride), (samples.last + padding) // stride)


def _activation(samples: Range, module: Module) -> Range:
    """An anti-aliased one filters up and down again; any other sees one sample."""
    if not hasattr(module, "downsample"):
        return samples
    down = module.downsample
    first = samples.first * down.ratio - down.pad_left
    last = samples.last * down.ratio - down.pad_left + down.kernel_size - 1
    return _through_upsampling(Range(first, last), module.upsample)


def _through_upsampling(samples: Range, up: Module) -> Range:
    first = _ceil_div(samples.first + up.pad_left - up.kernel_size + 1, up.ratio) - up.pad
    return Range(first, (samples.last + up.pad_left) // up.ratio - up.pad)


def _ceil_div(value: int, divisor: int) -> int:
    return -(-value // divisor)
