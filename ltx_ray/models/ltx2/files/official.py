"""The official configuration of files that carry none: GGUF, and many of those that people split or pack again.

Sizes of the transformer and its connectors are read off the shapes of their tensors; what no shape shows is the same in
every LTX-2. VAEs, vocoders and upsamplers are those of the published families, told by their keys; a file of another
size does not fit and is refused where it is loaded. No torch.
Source: the ``config`` metadata of the official files of Lightricks/LTX-2 and of LTX-2.3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ltx_ray.errors import ModelError
from ltx_ray.spec.weights import Part

#: Shapes by diffusers' names.
Shapes = Mapping[str, tuple[int, ...]]
Config = dict[str, Any]

#: Heads of attention where no gate shows them: LTX-2 19B.
_HEADS, _CONNECTOR_HEADS = 32, 30
TRANSFORMER: Config = {
    "norm_eps": 1e-6,
    "positional_embedding_max_pos": [20, 2048, 2048],
    "audio_positional_embedding_max_pos": [20],
    "connector_positional_embedding_max_pos": [4096],
}
#: A section that says all of these needs nothing read off shapes, which do not show heads without gates.
_SIZES = frozenset(
    f"{prefix}{key}" for prefix in ("", "audio_", "connector_") for key in ("num_attention_heads", "attention_head_dim")
) | {"num_layers", "connector_num_layers", "in_channels", "caption_channels", "cross_attention_dim"}


def _blocks(layers: tuple[int, ...], changes: tuple[tuple[str, int], ...], **how: Any) -> list[list[Any]]:
    """Layers and changes of size, in turns."""
    found: list[list[Any]] = [["res_x", {"num_layers": layers[0]}]]
    for num_layers, (name, multiplier) in zip(layers[1:], changes, strict=True):
        found += [[name, {"multiplier": multiplier, **how}], ["res_x", {"num_layers": num_layers}]]
    return found


_DOWN = ("compress_space_res", "compress_time_res", "compress_all_res", "compress_all_res")
_VAE: Config = {
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 128,
    "patch_size": 4,
    "scaling_factor": 1.0,
    "causal_decoder": False,
    "timestep_conditioning": False,
    "decoder_base_channels": 128,
}
VAE_2_0: Config = {
    **_VAE,
    "encoder_blocks": _blocks((4, 6, 6, 2, 2), tuple((name, 2) for name in _DOWN)),
    "decoder_blocks": _blocks((5, 5, 5, 5), (("compress_all", 2),) * 3, residual=True),
}
VAE_2_3: Config = {
    **_VAE,
    "encoder_blocks": _blocks((4, 6, 4, 2, 2), tuple(zip(_DOWN, (2, 2, 2, 1), strict=True))),
    "decoder_blocks": _blocks(
        (4, 6, 4, 2, 2), (("compress_space", 2), ("compress_time", 2), ("compress_all", 1), ("compress_all", 2))
    ),
    "spatial_padding_mode": "zeros",
}
AUDIO_VAE: Config = {
    "model": {
        "params": {
            "ddconfig": {
                "double_z": True,
                "mel_bins": 64,
                "z_channels": 8,
                "resolution": 256,
                "in_channels": 2,
                "out_ch": 2,
                "ch": 128,
                "ch_mult": [1, 2, 4],
                "num_res_blocks": 2,
                "attn_resolutions": [],
                "mid_block_add_attention": False,
                "norm_type": "pixel",
                "causality_axis": "height",
            },
            "sampling_rate": 16000,
        }
    },
    "preprocessing": {
        "stft": {"filter_length": 1024, "hop_length": 160, "causal": True},
        "mel": {"n_mel_channels": 64},
    },
}
_RESBLOCKS: Config = {
    "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5]] * 3,
    "stereo": True,
}
VOCODER_2_0: Config = {
    **_RESBLOCKS,
    "upsample_initial_channel": 1024,
    "upsample_rates": [6, 5, 2, 2, 2],
    "upsample_kernel_sizes": [16, 15, 8, 4, 4],
}
VOCODER_2_3: Config = {
    "vocoder": {
        **_RESBLOCKS,
        "upsample_initial_channel": 1536,
        "upsample_rates": [5, 2, 2, 2, 2, 2],
        "upsample_kernel_sizes": [11, 4, 4, 4, 4, 4],
        "use_bias_at_final": False,
    },
    "bwe": {
        **_RESBLOCKS,
        "upsample_initial_channel": 512,
        "upsample_rates": [6, 5, 2, 2, 2],
        "upsample_kernel_sizes": [12, 11, 4, 4, 4],
        "use_bias_at_final": False,
        "input_sampling_rate": 16000,
        "output_sampling_rate": 48000,
        "hop_length": 80,
        "n_fft": 512,
        "win_size": 512,
        "num_mels": 64,
    },
}


def completed(told: Mapping[str, Any], shapes: Mapping[Part, Shapes]) -> Config:
    """A configuration with all that parts of these shapes are made by; what files say, ``told``, counts.

    Raises:
        ModelError: shapes of a part lack what its sizes are read off.
    """
    # Four enlargements since LTX-2.3, three before.
    is_new = any(name.startswith("decoder.up_blocks.3.") for name in shapes.get("video_vae", ()))
    is_extended = any(name.startswith("bwe_generator.") for name in shapes.get("vocoder", ()))
    found = {
        "vae": VAE_2_3 if is_new else VAE_2_0,
        "audio_vae": AUDIO_VAE,
        "vocoder": VOCODER_2_3 if is_extended else VOCODER_2_0,
    }
    is_told = isinstance(told.get("transformer"), dict) and _SIZES <= told["transformer"].keys()
    if is_told:
        found["transformer"] = TRANSFORMER
    elif shapes.get("transformer"):
        found["transformer"] = transformer(shapes["transformer"], shapes.get("connectors", {}))
    return _filled(found, told)


def _filled(table: Mapping[str, Any], told: Mapping[str, Any]) -> Config:
    """What is told, and of the table what is not."""
    found = {**table, **told}
    for key in table.keys() & told.keys():
        if isinstance(table[key], dict) and isinstance(told[key], dict):
            found[key] = _filled(table[key], told[key])
    return found


def transformer(shapes: Shapes, connectors: Shapes) -> Config:
    """The section ``transformer``."""
    try:
        inner, in_channels = shapes["proj_in.weight"]
        audio_inner, audio_channels = shapes["audio_proj_in.weight"]
        gate = shapes.get("transformer_blocks.0.attn1.to_gate_logits.weight", (_HEADS,))
        audio_gate = shapes.get("transformer_blocks.0.audio_attn1.to_gate_logits.weight", (_HEADS,))
        is_modern = "transformer_blocks.0.prompt_scale_shift_table" in shapes
        captions = shapes.get("caption_projection.linear_1.weight", (0, 0))[1]
        return {
            **TRANSFORMER,
            "in_channels": in_channels,
            "out_channels": shapes["proj_out.weight"][0],
            "num_attention_heads": gate[0],
            "attention_head_dim": inner // gate[0],
            "cross_attention_dim": shapes["transformer_blocks.0.attn2.to_k.weight"][1],
            "audio_in_channels": audio_channels,
            "audio_out_channels": shapes["audio_proj_out.weight"][0],
            "audio_num_attention_heads": audio_gate[0],
            "audio_attention_head_dim": audio_inner // audio_gate[0],
            "audio_cross_attention_dim": shapes["transformer_blocks.0.audio_attn2.to_k.weight"][1],
            "num_layers": _count(shapes, "transformer_blocks."),
            "apply_gated_attention": "transformer_blocks.0.attn1.to_gate_logits.weight" in shapes,
            "cross_attention_adaln": is_modern,
            "use_prompt_adaln_single": "prompt_adaln.linear.weight" in shapes or not is_modern,
            "use_keyframes_abs_pos_embedding": "keyframes_abs_pos_embedding" in shapes,
            "ff_bias": "transformer_blocks.0.ff.net.0.proj.bias" in shapes,
            **_connectors(connectors, captions or _caption_channels(connectors)),
        }
    except (KeyError, ValueError) as error:
        raise ModelError(f"transformer: no tensor {error} that its sizes are read off; take a whole file") from None


def _connectors(shapes: Shapes, caption_channels: int) -> Config:
    """What the section says of connectors; {} for those that are not there."""
    found: Config = {"caption_channels": caption_channels}
    for side, prefix in (("video", "connector"), ("audio", "audio_connector")):
        if f"{side}_connector.learnable_registers" not in shapes:
            continue
        registers, width = shapes[f"{side}_connector.learnable_registers"]
        gate = shapes.get(f"{side}_connector.transformer_blocks.0.attn1.to_gate_logits.weight", (_CONNECTOR_HEADS,))
        found |= {
            f"{prefix}_num_attention_heads": gate[0],
            f"{prefix}_attention_head_dim": width // gate[0],
            "connector_num_layers": _count(shapes, f"{side}_connector.transformer_blocks."),
            "connector_num_learnable_registers": registers,
            "connector_apply_gated_attention": len(gate) > 1,
        }
    return found


def _caption_channels(shapes: Shapes) -> int:
    """Width of the text encoder: the projection reads all its layers side by side. 3840 in every published file."""
    width = next((shape[1] for name, shape in shapes.items() if name.endswith("text_proj_in.weight")), 0)
    layers = 49  # of Gemma 3 12B and of Gemma 4, the embedding among them
    return width // layers if width and width % layers == 0 else 3840


def upsampler(shapes: Shapes) -> Config:
    """The flat configuration of an upsampler's file.

    Raises:
        KeyError: it is none.
    """
    mid, channels = shapes["initial_conv.weight"][:2]
    is_rational = "upsampler.blur_down.kernel" in shapes
    enlarging = shapes["upsampler.conv.weight" if is_rational else "upsampler.0.weight"]
    numerator = round((enlarging[0] / mid) ** 0.5)
    return {
        "in_channels": channels,
        "mid_channels": mid,
        "num_blocks_per_stage": _count(shapes, "res_blocks."),
        "dims": len(shapes["initial_conv.weight"]) - 2,
        "spatial_upsample": len(enlarging) == 4,
        "temporal_upsample": len(enlarging) == 5,
        # The rational resampler enlarges by a whole number and then blurs down: 2 = 2 / 1, 1.5 = 3 / 2.
        "spatial_scale": numerator / 2 if is_rational and numerator > 2 else 2.0,
        "rational_resampler": is_rational,
    }


def _count(shapes: Shapes, prefix: str) -> int:
    found = (re.match(r"\d+", name.removeprefix(prefix)) for name in shapes if name.startswith(prefix))
    return 1 + max((int(match[0]) for match in found if match), default=-1)
