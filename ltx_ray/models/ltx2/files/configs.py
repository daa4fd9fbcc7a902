"""From the configuration in the head of an official file to those of diffusers' modules.

What no shape shows is stated, never left to a default: kind and precision of the rotary embedding, the scales of noise
levels, paddings. No torch.
Source: the ``config`` metadata of the official files, and scripts/convert_ltx2_to_diffusers.py, diffusers 0.42.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from operator import mul
from typing import Any

Config = dict[str, Any]

#: True of every LTX-2, and in no shape.
_ROTARY = {"rope_type": "split", "rope_double_precision": True, "rope_theta": 10000.0}
#: What the encoder does between its blocks, and the decoder: in time, in space, or both.
_DOWN = {"compress_space_res": "spatial", "compress_time_res": "temporal", "compress_all_res": "spatiotemporal"}
_UP = {"compress_space": "spatial", "compress_time": "temporal", "compress_all": "spatiotemporal"}


def transformer(official: Mapping[str, Any]) -> Config:
    """Of ``LTX2VideoTransformer3DModel``."""
    told = official["transformer"]
    is_gated, is_modern = bool(told.get("apply_gated_attention")), bool(told.get("cross_attention_adaln"))
    return {
        "in_channels": told["in_channels"],
        "out_channels": told["out_channels"],
        "num_attention_heads": told["num_attention_heads"],
        "attention_head_dim": told["attention_head_dim"],
        "cross_attention_dim": told["cross_attention_dim"],
        "audio_in_channels": told.get("audio_in_channels", told["audio_out_channels"]),
        "audio_out_channels": told["audio_out_channels"],
        "audio_num_attention_heads": told["audio_num_attention_heads"],
        "audio_attention_head_dim": told["audio_attention_head_dim"],
        "audio_cross_attention_dim": told["audio_cross_attention_dim"],
        "num_layers": told["num_layers"],
        "caption_channels": told["caption_channels"],
        "norm_eps": told["norm_eps"],
        "pos_embed_max_pos": told["positional_embedding_max_pos"][0],
        "base_height": told["positional_embedding_max_pos"][1],
        "base_width": told["positional_embedding_max_pos"][2],
        "audio_pos_embed_max_pos": told["audio_positional_embedding_max_pos"][0],
        "timestep_scale_multiplier": 1000,
        "cross_attn_timestep_scale_multiplier": 1000,
        "gated_attn": is_gated,
        "audio_gated_attn": is_gated,
        "cross_attn_mod": is_modern,
        "audio_cross_attn_mod": is_modern,
        "use_prompt_embeddings": not is_modern,
        "use_prompt_adaln_single": told.get("use_prompt_adaln_single", True),
        "use_keyframes_abs_pos_embedding": told.get("use_keyframes_abs_pos_embedding", False),
        "ff_bias": told.get("ff_bias", True),
        # LTX-2.0's own configuration turns impaired passes into plain ones; the weights are the same for both.
        "perturbed_attn": True,
        **_ROTARY,
    }


def connectors(official: Mapping[str, Any], *, text_layers: int) -> Config:
    """Of ``LTX2TextConnectors``; ``text_layers`` are those of the text encoder, its embedding among them."""
    told = official["transformer"]
    is_modern = bool(told.get("cross_attention_adaln"))
    heads, dim = told["connector_num_attention_heads"], told["connector_attention_head_dim"]
    found = {
        "caption_channels": told["caption_channels"],
        "text_proj_in_factor": text_layers,
        "connector_rope_base_seq_len": told["connector_positional_embedding_max_pos"][0],
        "per_modality_projections": is_modern,
        "proj_bias": is_modern,
        **_ROTARY,
    }
    is_gated = bool(told.get("connector_apply_gated_attention"))
    for side in ("video", "audio"):
        own = "audio_connector" if side == "audio" else "connector"
        found |= {
            f"{side}_connector_num_attention_heads": told.get(f"{own}_num_attention_heads", heads),
            f"{side}_connector_attention_head_dim": told.get(f"{own}_attention_head_dim", dim),
            f"{side}_connector_num_layers": told["connector_num_layers"],
            f"{side}_connector_num_learnable_registers": told["connector_num_learnable_registers"],
            f"{side}_gated_attn": is_gated,
        }
    if is_modern:
        found["video_hidden_dim"] = told["num_attention_heads"] * told["attention_head_dim"]
        found["audio_hidden_dim"] = told["audio_num_attention_heads"] * told["audio_attention_head_dim"]
    return found


def video_vae(official: Mapping[str, Any]) -> Config:
    """Of ``AutoencoderKLLTX2Video``."""
    told = official["vae"]
    # The official encoder begins with as many channels as the latent has, whatever the configuration says.
    channels, widths, down = told["latent_channels"], [], []
    encoder, decoder = told["encoder_blocks"], told["decoder_blocks"]
    for name, how in encoder:
        if name in _DOWN:
            channels *= how["multiplier"]
            widths.append(channels)
            down.append(_DOWN[name])
    ups = [(name, how) for name, how in decoder if name in _UP]
    base = told["decoder_base_channels"]
    padding = told.get("spatial_padding_mode")
    return {
        "in_channels": told["in_channels"],
        "out_channels": told["out_channels"],
        "latent_channels": told["latent_channels"],
        "block_out_channels": tuple(widths),
        "layers_per_block": _layers(encoder),
        "spatio_temporal_scaling": (True,) * len(down),
        "downsample_type": tuple(down),
        "down_block_types": ("LTX2VideoDownBlock3D",) * len(down),
        "decoder_block_out_channels": tuple(_decoder_widths(base, ups)),
        "decoder_layers_per_block": _layers(decoder),
        "decoder_inject_noise": (False,) * (len(ups) + 1),
        "decoder_spatio_temporal_scaling": (True,) * len(ups),
        # All else goes from the picture inwards, as in the file; these go the way of the decoder.
        "upsample_type": tuple(_UP[name] for name, _ in reversed(ups)),
        "upsample_residual": tuple(bool(how.get("residual")) for _, how in reversed(ups)),
        "upsample_factor": tuple(how["multiplier"] for _, how in ups),
        "timestep_conditioning": told.get("timestep_conditioning", False),
        "patch_size": told["patch_size"],
        "scaling_factor": told["scaling_factor"],
        "encoder_causal": True,
        "decoder_causal": told["causal_decoder"],
        "encoder_spatial_padding_mode": padding or "zeros",
        "decoder_spatial_padding_mode": padding or "reflect",
        "spatial_compression_ratio": 32,
        "temporal_compression_ratio": 8,
    }


def _layers(blocks: Sequence[tuple[str, Mapping[str, Any]]]) -> tuple[int, ...]:
    return tuple(how["num_layers"] for name, how in blocks if name == "res_x")


def _decoder_widths(base: int, ups: Sequence[tuple[str, Mapping[str, Any]]]) -> list[int]:
    """Channels of each stage of the decoder, from the picture inwards."""
    return list(accumulate((how["multiplier"] for _, how in ups), mul, initial=base))[1:]


def audio_vae(official: Mapping[str, Any]) -> Config:
    """Of ``AutoencoderKLLTX2Audio``."""
    model = official["audio_vae"]["model"]["params"]
    told, stft = model["ddconfig"], official["audio_vae"]["preprocessing"]["stft"]
    return {
        "base_channels": told["ch"],
        "output_channels": told["out_ch"],
        "ch_mult": tuple(told["ch_mult"]),
        "num_res_blocks": told["num_res_blocks"],
        "attn_resolutions": tuple(told["attn_resolutions"]) or None,
        "in_channels": told["in_channels"],
        "resolution": told["resolution"],
        "latent_channels": told["z_channels"],
        "norm_type": told["norm_type"],
        "causality_axis": told["causality_axis"],
        "mid_block_add_attention": told["mid_block_add_attention"],
        "sample_rate": model["sampling_rate"],
        "mel_hop_length": stft["hop_length"],
        "is_causal": stft["causal"],
        "mel_bins": told["mel_bins"],
        "double_z": told["double_z"],
    }


def vocoder(official: Mapping[str, Any]) -> Config:
    """Of ``LTX2VocoderWithBWE`` where the file has a bandwidth extension, else of ``LTX2Vocoder``."""
    told = official["vocoder"]
    mel_channels = 2 * official["audio_vae"]["preprocessing"]["mel"]["n_mel_channels"]
    if "bwe" not in told:
        return {"in_channels": mel_channels, "output_sampling_rate": 24000, **_generator(told, "")}
    first, extension = told["vocoder"], told["bwe"]
    return {
        "in_channels": mel_channels,
        **_generator(first, ""),
        # The official first stage ends in a clamp to [-1, 1].
        "final_act_fn": "clamp",
        "final_bias": first["use_bias_at_final"],
        "bwe_in_channels": mel_channels,
        **_generator(extension, "bwe_"),
        "bwe_final_bias": extension["use_bias_at_final"],
        "filter_length": extension["n_fft"],
        "hop_length": extension["hop_length"],
        "window_length": extension["win_size"],
        "num_mel_channels": extension["num_mels"],
        "input_sampling_rate": extension["input_sampling_rate"],
        "output_sampling_rate": extension["output_sampling_rate"],
    }


def sample_rate_hz(official: Mapping[str, Any]) -> int:
    """Of the sound that comes out in the end."""
    return int(vocoder(official)["output_sampling_rate"])


def _generator(told: Mapping[str, Any], prefix: str) -> Config:
    return {
        f"{prefix}hidden_channels": told["upsample_initial_channel"],
        f"{prefix}out_channels": 2 if told["stereo"] else 1,
        f"{prefix}upsample_kernel_sizes": told["upsample_kernel_sizes"],
        f"{prefix}upsample_factors": told["upsample_rates"],
        f"{prefix}resnet_kernel_sizes": told["resblock_kernel_sizes"],
        f"{prefix}resnet_dilations": told["resblock_dilation_sizes"],
    }


def upsampler(official: Mapping[str, Any]) -> Config:
    """Of ``LTX2LatentUpsamplerModel``; the configuration of an upsampler's file is flat."""
    return {
        "in_channels": official["in_channels"],
        "mid_channels": official["mid_channels"],
        "num_blocks_per_stage": official["num_blocks_per_stage"],
        "dims": official["dims"],
        "spatial_upsample": official["spatial_upsample"],
        "temporal_upsample": official["temporal_upsample"],
        "rational_spatial_scale": official.get("spatial_scale", 2.0),
        "use_rational_resampler": official.get("rational_resampler", False),
    }
