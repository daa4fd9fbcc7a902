"""Configurations of the published models, by family: what diffusers' modules are made with. No torch.

Source: shapes of the tensors of the official files of LTX-2 19B, LTX-2.3 22B and LTX-2.5 22B; Gemma 3 12B's
configuration. LTX-2.5 reads another Gemma of the same size, which is counted as that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ltx_ray.models.ltx2.files import configs, official
from ltx_ray.spec.weights import Part

FAMILIES = ("ltx-2", "ltx-2.3", "ltx-2.5")
#: Layers of the text encoder whose states the connectors read, its embedding among them.
TEXT_LAYERS = 49

_BASE: dict[str, Any] = {
    **official.TRANSFORMER,
    "in_channels": 128,
    "out_channels": 128,
    "num_attention_heads": 32,
    "attention_head_dim": 128,
    "cross_attention_dim": 4096,
    "audio_in_channels": 128,
    "audio_out_channels": 128,
    "audio_num_attention_heads": 32,
    "audio_attention_head_dim": 64,
    "audio_cross_attention_dim": 2048,
    "num_layers": 48,
    "caption_channels": 3840,
    "connector_num_learnable_registers": 128,
    "connector_attention_head_dim": 128,
}
_GATED: dict[str, Any] = {
    **_BASE,
    "apply_gated_attention": True,
    "cross_attention_adaln": True,
    "connector_num_attention_heads": 32,
    "connector_num_layers": 8,
    "connector_apply_gated_attention": True,
    "audio_connector_num_attention_heads": 32,
    "audio_connector_attention_head_dim": 64,
}
_TRANSFORMERS: Mapping[str, dict[str, Any]] = {
    "ltx-2": {
        **_BASE,
        "connector_num_attention_heads": 30,
        "connector_num_layers": 2,
        "audio_connector_num_attention_heads": 30,
        "audio_connector_attention_head_dim": 128,
    },
    "ltx-2.3": _GATED,
    "ltx-2.5": {**_GATED, "use_keyframes_abs_pos_embedding": True, "ff_bias": False},
}
_UPSAMPLER = {
    "in_channels": 128,
    "mid_channels": 1024,
    "num_blocks_per_stage": 4,
    "dims": 3,
    "spatial_upsample": True,
    "temporal_upsample": False,
    "spatial_scale": 2.0,
}
GEMMA: dict[str, Any] = {
    "vocab_size": 262_208,
    "hidden_size": 3840,
    "intermediate_size": 15_360,
    "num_hidden_layers": 48,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 256,
    "sliding_window": 1024,
    "query_pre_attn_scalar": 256,
}


def config(family: str, part: Part) -> Mapping[str, Any]:
    """Of a part but the text encoder."""
    is_first = family == "ltx-2"
    whole = {
        "transformer": _TRANSFORMERS[family],
        "vae": official.VAE_2_0 if is_first else official.VAE_2_3,
        "audio_vae": official.AUDIO_VAE,
        "vocoder": official.VOCODER_2_0 if is_first else official.VOCODER_2_3,
    }
    match part:
        case "transformer":
            return configs.transformer(whole)
        case "connectors":
            return configs.connectors(whole, text_layers=TEXT_LAYERS)
        case "video_vae":
            return configs.video_vae(whole)
        case "audio_vae":
            return configs.audio_vae(whole)
        case "vocoder":
            return configs.vocoder(whole)
        case _:
            return configs.upsampler({**_UPSAMPLER, "rational_resampler": is_first})
