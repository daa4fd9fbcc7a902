"""The shapes of the tiny checkpoints: the configurations of LTX-2, 2.3 and 2.5 with few layers and few channels.

Everything that decides the path through the code is as in the published configurations: block and resampler types,
factors, causality, padding, embeddings, registers, the bandwidth-extending vocoder. Only counts are smaller. No torch.
Source: the configurations that scripts/convert_ltx2_to_diffusers.py of diffusers 0.42.1 writes.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

Flavour = Literal["2.0", "2.3", "2.5"]
FLAVOURS: tuple[Flavour, ...] = get_args(Flavour)

Config = dict[str, Any]

#: Sides of the transformer's two streams: heads, channels of a head.
VIDEO_HEADS, VIDEO_HEAD_DIM = 2, 32
AUDIO_HEADS, AUDIO_HEAD_DIM = 2, 16
VIDEO_WIDTH, AUDIO_WIDTH = VIDEO_HEADS * VIDEO_HEAD_DIM, AUDIO_HEADS * AUDIO_HEAD_DIM

VIDEO_CHANNELS = 128
MEL_BINS = 16
AUDIO_CHANNELS = 8 * MEL_BINS // 4

TEXT_WIDTH, TEXT_LAYERS, TEXT_TOKENS = 32, 2, 1024


def transformer(flavour: Flavour) -> Config:
    modern = flavour != "2.0"
    return {
        "in_channels": VIDEO_CHANNELS,
        "out_channels": VIDEO_CHANNELS,
        "num_attention_heads": VIDEO_HEADS,
        "attention_head_dim": VIDEO_HEAD_DIM,
        "cross_attention_dim": VIDEO_WIDTH,
        "audio_in_channels": AUDIO_CHANNELS,
        "audio_out_channels": AUDIO_CHANNELS,
        "audio_num_attention_heads": AUDIO_HEADS,
        "audio_attention_head_dim": AUDIO_HEAD_DIM,
        "audio_cross_attention_dim": AUDIO_WIDTH,
        "num_layers": 3,
        "caption_channels": TEXT_WIDTH,
        "rope_type": "split",
        "gated_attn": modern,
        "cross_attn_mod": modern,
        "audio_gated_attn": modern,
        "audio_cross_attn_mod": modern,
        "use_prompt_embeddings": not modern,
        "perturbed_attn": modern,
        "ff_bias": flavour != "2.5",
        "use_keyframes_abs_pos_embedding": flavour == "2.5",
    }


def connectors(flavour: Flavour) -> Config:
    shared = {
        "caption_channels": TEXT_WIDTH,
        "text_proj_in_factor": TEXT_LAYERS + 1,
        "video_connector_num_layers": 1,
        "audio_connector_num_layers": 1,
        "rope_type": "split",
    }
    if flavour == "2.0":
        heads = {"num_attention_heads": 2, "attention_head_dim": TEXT_WIDTH // 2}
        return shared | {f"{side}_connector_{name}": n for side in ("video", "audio") for name, n in heads.items()}
    return shared | {
        "video_connector_num_attention_heads": VIDEO_HEADS,
        "video_connector_attention_head_dim": VIDEO_HEAD_DIM,
        "audio_connector_num_attention_heads": AUDIO_HEADS,
        "audio_connector_attention_head_dim": AUDIO_HEAD_DIM,
        "video_hidden_dim": VIDEO_WIDTH,
        "audio_hidden_dim": AUDIO_WIDTH,
        "video_gated_attn": True,
        "audio_gated_attn": True,
        "per_modality_projections": True,
        "proj_bias": True,
    }


def video_vae(flavour: Flavour) -> Config:
    shared = {
        "latent_channels": VIDEO_CHANNELS,
        "downsample_type": ("spatial", "temporal", "spatiotemporal", "spatiotemporal"),
        "layers_per_block": (1, 1, 1, 1, 1),
        "decoder_causal": False,
        "spatial_compression_ratio": 32,
        "temporal_compression_ratio": 8,
    }
    if flavour == "2.0":
        return shared | {
            "block_out_channels": (8, 16, 32, 64),
            "decoder_block_out_channels": (8, 16, 32),
            "decoder_layers_per_block": (1, 1, 1, 1),
        }
    return shared | {
        "block_out_channels": (8, 16, 32, 32),
        "decoder_block_out_channels": (8, 16, 16, 32),
        "decoder_layers_per_block": (1, 1, 1, 1, 1),
        "decoder_inject_noise": (False,) * 5,
        "decoder_spatial_padding_mode": "zeros",
        "decoder_spatio_temporal_scaling": (True,) * 4,
        "upsample_factor": (2, 2, 1, 2),
        "upsample_residual": (False,) * 4,
        "upsample_type": ("spatiotemporal", "spatiotemporal", "temporal", "spatial"),
    }


def audio_vae() -> Config:
    # The statistics have base_channels entries, one for every channel of a cell.
    return {"base_channels": AUDIO_CHANNELS, "ch_mult": (1, 1, 1), "num_res_blocks": 1, "mel_bins": MEL_BINS}


def vocoder(flavour: Flavour) -> Config:
    """Of ``LTX2Vocoder`` for 2.0, else of ``LTX2VocoderWithBWE``."""
    resnets = {"resnet_kernel_sizes": [3], "resnet_dilations": [[1, 3, 5]]}
    if flavour == "2.0":
        return {"in_channels": 2 * MEL_BINS, "hidden_channels": 64, **resnets}
    extension = {f"bwe_{name}": value for name, value in resnets.items()}
    return {
        "in_channels": 2 * MEL_BINS,
        "hidden_channels": 64,
        "bwe_in_channels": 2 * MEL_BINS,
        "bwe_hidden_channels": 32,
        "num_mel_channels": MEL_BINS,
        **resnets,
        **extension,
    }


def upsamplers(flavour: Flavour) -> dict[str, Config]:
    """By folder; a checkpoint's own is ``latent_upsampler``."""
    shared = {"in_channels": VIDEO_CHANNELS, "mid_channels": 32, "num_blocks_per_stage": 1}
    return {
        "latent_upsampler": {**shared, "use_rational_resampler": flavour == "2.0"},
        "latent_upsampler_x1.5": {**shared, "rational_spatial_scale": 1.5},
        "temporal_upsampler": {**shared, "spatial_upsample": False, "temporal_upsample": True},
    }


def gemma3() -> Config:
    return {
        "text_config": {
            "vocab_size": 512,
            "hidden_size": TEXT_WIDTH,
            "intermediate_size": 2 * TEXT_WIDTH,
            "num_hidden_layers": TEXT_LAYERS,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 16,
            "query_pre_attn_scalar": 16,
            "sliding_window": 128,
        },
        "vision_config": {
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 28,
            "patch_size": 14,
        },
        "mm_tokens_per_image": 4,
        "boi_token_index": 500,
        "eoi_token_index": 501,
        "image_token_index": 502,
    }


def gemma4() -> Config:
    return {
        "text_config": {
            "vocab_size": 512,
            "hidden_size": TEXT_WIDTH,
            "intermediate_size": 2 * TEXT_WIDTH,
            "num_hidden_layers": TEXT_LAYERS,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 16,
            "global_head_dim": 32,
            "sliding_window": 128,
            "layer_types": ["sliding_attention", "full_attention"],
        },
        "boi_token_id": 500,
        "eoi_token_id": 501,
        "image_token_id": 502,
        "video_token_id": 503,
        "boa_token_id": 504,
        "eoa_token_index": 505,
        "audio_token_id": 506,
    }
