"""From the names of tensors in the official files to those of diffusers' modules, part by part.

A part's tensors stand under prefixes of the file; files of single parts, and every GGUF, also come without them. Every
official name has exactly one of diffusers, and the reverse. No tensor is turned, split or joined.
Source: the official key tables, and scripts/convert_ltx2_to_diffusers.py, diffusers 0.42.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ltx_ray.models.ltx2.files.header import Header
from ltx_ray.spec.weights import Part

#: Under which each part stands in a whole file.
TRANSFORMER = "model.diffusion_model."
CONNECTORS = (
    f"{TRANSFORMER}video_embeddings_connector.",
    f"{TRANSFORMER}audio_embeddings_connector.",
    "text_embedding_projection.",
)
_VAE, _AUDIO_VAE, _VOCODER = "vae.", "audio_vae.", "vocoder."
#: Of these, without their prefix.
_BARE_TRANSFORMER = "transformer_blocks."
_BARE_CONNECTORS = ("video_embeddings_connector.", "audio_embeddings_connector.")
_BARE_VOCODERS = {
    "conv_pre.weight": ("conv_pre.", "conv_post.", "ups.", "resblocks."),
    "bwe_generator.conv_pre.weight": ("vocoder.", "bwe_generator.", "mel_stft."),
}
#: A VAE's, of video or of audio.
_BARE_VAE = ("encoder.", "decoder.", "per_channel_statistics.")
#: Their convolutions have five dimensions in a VAE of video, and four in one of audio.
_OF_EITHER_VAE = ("encoder.conv_in.conv.weight", "decoder.conv_in.conv.weight")
#: Statistics that nobody reads.
UNREAD = frozenset(
    f"per_channel_statistics.{name}" for name in ("channel", "mean-of-stds", "mean-of-stds_over_std-of-means")
)

#: Replaced in this order, wherever they stand.
_IN_TRANSFORMER = (
    ("patchify_proj", "proj_in"),
    ("av_ca_video_scale_shift_adaln_single", "av_cross_attn_video_scale_shift"),
    ("av_ca_a2v_gate_adaln_single", "av_cross_attn_video_a2v_gate"),
    ("av_ca_audio_scale_shift_adaln_single", "av_cross_attn_audio_scale_shift"),
    ("av_ca_v2a_gate_adaln_single", "av_cross_attn_audio_v2a_gate"),
    ("scale_shift_table_a2v_ca_video", "video_a2v_cross_attn_scale_shift_table"),
    ("scale_shift_table_a2v_ca_audio", "audio_a2v_cross_attn_scale_shift_table"),
    ("q_norm", "norm_q"),
    ("k_norm", "norm_k"),
    ("prompt_adaln_single", "prompt_adaln"),
)
_AT_BEGIN = (("audio_adaln_single.", "audio_time_embed."), ("adaln_single.", "time_embed."))
_IN_CONNECTORS = (
    ("video_embeddings_connector", "video_connector"),
    ("audio_embeddings_connector", "audio_connector"),
    ("transformer_1d_blocks", "transformer_blocks"),
    ("q_norm", "norm_q"),
    ("k_norm", "norm_k"),
    ("text_embedding_projection.aggregate_embed", "text_proj_in"),
    ("text_embedding_projection.video_aggregate_embed", "video_text_proj_in"),
    ("text_embedding_projection.audio_aggregate_embed", "audio_text_proj_in"),
)
_STATISTICS = {
    "per_channel_statistics.mean-of-means": "latents_mean",
    "per_channel_statistics.std-of-means": "latents_std",
}
#: Blocks of the video VAE: the official ones alternate between layers and the change of size after them.
_BLOCKS: Mapping[str, str] = {
    **{f"encoder.down_blocks.{2 * idx}.": f"encoder.down_blocks.{idx}." for idx in range(4)},
    **{f"encoder.down_blocks.{2 * idx + 1}.": f"encoder.down_blocks.{idx}.downsamplers.0." for idx in range(4)},
    "encoder.down_blocks.8.": "encoder.mid_block.",
    "decoder.up_blocks.0.": "decoder.mid_block.",
    **{f"decoder.up_blocks.{2 * idx + 1}.": f"decoder.up_blocks.{idx}.upsamplers.0." for idx in range(4)},
    **{f"decoder.up_blocks.{2 * idx + 2}.": f"decoder.up_blocks.{idx}." for idx in range(4)},
}


class Place(NamedTuple):
    """Where a tensor of a file belongs."""

    part: Part
    name: str  #: in a whole official file


def places(header: Header) -> dict[str, Place]:
    """Of every tensor in a file that belongs to a part, upsamplers and text encoders aside; by its name there."""
    return dict(_places(header))


def _places(header: Header) -> Iterator[tuple[str, Place]]:
    of_either = next((told for name, told in header.tensors.items() if name in _OF_EITHER_VAE), None)
    vae = _AUDIO_VAE if of_either is not None and len(of_either.shape) == 4 else _VAE
    vocoder = next((begins for name, begins in _BARE_VOCODERS.items() if name in header.tensors), ())
    is_bare = any(name.startswith(_BARE_TRANSFORMER) for name in header.tensors)
    for name in header.tensors:
        whole = name
        if name.startswith(_BARE_VAE):
            whole = f"{vae}{name}"
        elif vocoder and name.startswith(vocoder):
            whole = f"{_VOCODER}{name}"
        elif name.startswith(_BARE_CONNECTORS) or (is_bare and part_of(name) is None):
            whole = f"{TRANSFORMER}{name}"
        if (part := part_of(whole)) is not None:
            yield name, Place(part, whole)


def part_of(name: str) -> Part | None:
    """Which part a tensor of a whole official file belongs to; None = of none that is known."""
    if name.startswith(CONNECTORS):
        return "connectors"
    if name.startswith(TRANSFORMER):
        return "transformer"
    if name.startswith(_VAE):
        return "video_vae"
    if name.startswith(_AUDIO_VAE):
        return "audio_vae"
    return "vocoder" if name.startswith(_VOCODER) else None


def renamed(part: Part, name: str) -> str | None:
    """What diffusers calls a tensor of a whole official file; None = nobody reads it."""
    match part:
        case "transformer":
            return _of_transformer(name.removeprefix(TRANSFORMER))
        case "connectors":
            return _replaced(name.removeprefix(TRANSFORMER), _IN_CONNECTORS)
        case "video_vae":
            return _of_video_vae(name.removeprefix(_VAE))
        case "audio_vae":
            return _STATISTICS.get(bare := name.removeprefix(_AUDIO_VAE), bare)
        case "vocoder":
            return _of_vocoder(name.removeprefix(_VOCODER))
        case _:  # upsamplers and text encoders have the same names
            return name


def _of_transformer(name: str) -> str:
    name = _replaced(name, _IN_TRANSFORMER)
    for begin, other in _AT_BEGIN:
        if name.startswith(begin):
            return other + name.removeprefix(begin)
    return name


def _of_video_vae(name: str) -> str | None:
    if name in UNREAD:
        return None
    if name in _STATISTICS:
        return _STATISTICS[name]
    for begin, other in _BLOCKS.items():
        if name.startswith(begin):
            name = other + name.removeprefix(begin)
            break
    return name.replace("res_blocks", "resnets")


def _of_vocoder(name: str) -> str:
    """With bandwidth extension ``ups`` also stands inside other names."""
    parts = name.split(".")
    words = {
        "ups": "upsamplers",
        "resblocks": "resnets",
        "conv_pre": "conv_in",
        "conv_post": "conv_out",
        "act_post": "act_out",
    }
    renamed_parts = [words.get(part, part) for part in parts]
    return ".".join(renamed_parts).replace("downsample.lowpass", "downsample")


def _replaced(name: str, pairs: tuple[tuple[str, str], ...]) -> str:
    for old, new in pairs:
        name = name.replace(old, new)
    return name
