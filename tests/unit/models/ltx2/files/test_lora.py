"""Which weights a LoRA's file changes, in every spelling that people publish, and what is refused."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.files.lora import read_lora

TRANSFORMER = {
    "transformer_blocks.0.attn1.to_q.weight": (6, 8),
    "transformer_blocks.0.attn1.norm_q.weight": (8,),
    "time_embed.linear.weight": (6, 8),
    "audio_time_embed.linear.weight": (6, 8),
    "proj_in.weight": (6, 8),
    "av_cross_attn_video_scale_shift.linear.weight": (6, 8),
    "prompt_adaln.linear.weight": (6, 8),
}
CONNECTORS = {
    "video_connector.transformer_blocks.0.attn1.to_q.weight": (6, 8),
    "video_text_proj_in.weight": (6, 8),
}
SHAPES = {"transformer": TRANSFORMER, "connectors": CONNECTORS}


@pytest.fixture
def lora(tmp_path):
    """A LoRA file with these tensors, read for the model of SHAPES."""

    def lora(**tensors):
        path = tmp_path / "lora.safetensors"
        save_file({name: torch.ones(shape, dtype=torch.bfloat16) for name, shape in tensors.items()}, path)
        return read_lora(path, SHAPES, model="fox")

    return lora


def pair(module, down=".lora_A.weight", up=".lora_B.weight", rank=2, size=(6, 8)):
    return {f"{module}{down}": (rank, size[1]), f"{module}{up}": (size[0], rank)}


@pytest.mark.parametrize(
    ("module", "weight"),
    [
        ("diffusion_model.transformer_blocks.0.attn1.to_q", "transformer_blocks.0.attn1.to_q"),
        ("model.diffusion_model.transformer_blocks.0.attn1.to_q", "transformer_blocks.0.attn1.to_q"),
        ("transformer_blocks.0.attn1.to_q", "transformer_blocks.0.attn1.to_q"),
        ("transformer.transformer_blocks.0.attn1.to_q", "transformer_blocks.0.attn1.to_q"),
        ("base_model.model.transformer_blocks.0.attn1.to_q", "transformer_blocks.0.attn1.to_q"),
        ("lora_unet_transformer_blocks_0_attn1_to_q", "transformer_blocks.0.attn1.to_q"),
        ("diffusion_model.adaln_single.linear", "time_embed.linear"),
        ("transformer.time_embed.linear", "time_embed.linear"),
        ("lora_unet_adaln_single_linear", "time_embed.linear"),
        ("lora_unet_audio_adaln_single_linear", "audio_time_embed.linear"),
        ("diffusion_model.patchify_proj", "proj_in"),
        ("transformer.proj_in", "proj_in"),
        ("lora_unet_patchify_proj", "proj_in"),
        ("diffusion_model.av_ca_video_scale_shift_adaln_single.linear", "av_cross_attn_video_scale_shift.linear"),
        ("lora_unet_av_ca_video_scale_shift_adaln_single_linear", "av_cross_attn_video_scale_shift.linear"),
        ("diffusion_model.prompt_adaln_single.linear", "prompt_adaln.linear"),
    ],
)
def test_every_spelling_finds_its_weight(lora, module, weight):
    found = lora(**pair(module))
    assert [each.weight for each in found.pairs["transformer"]] == [f"{weight}.weight"]
    assert (found.rank, found.parts) == (2, ("transformer",))


@pytest.mark.parametrize(
    ("module", "weight"),
    [
        (
            "diffusion_model.video_embeddings_connector.transformer_1d_blocks.0.attn1.to_q",
            "video_connector.transformer_blocks.0.attn1.to_q",
        ),
        (
            "connectors.video_connector.transformer_blocks.0.attn1.to_q",
            "video_connector.transformer_blocks.0.attn1.to_q",
        ),
        ("text_embedding_projection.video_aggregate_embed", "video_text_proj_in"),
    ],
)
def test_keys_of_connectors_are_theirs(lora, module, weight):
    found = lora(**pair(module), **pair("proj_in"))
    assert [each.weight for each in found.pairs["connectors"]] == [f"{weight}.weight"]
    assert found.parts == ("connectors", "transformer")


@pytest.mark.parametrize(
    ("down", "up"),
    [
        (".lora_down.weight", ".lora_up.weight"),
        (".lora.down.weight", ".lora.up.weight"),
        (".lora_A.default.weight", ".lora_B.default.weight"),
    ],
)
def test_every_name_of_the_two_matrices_is_known(lora, down, up):
    found = lora(**pair("proj_in", down, up), **{"proj_in.alpha": ()})
    assert found.pairs["transformer"][0][1:] == (f"proj_in{down}", f"proj_in{up}", "proj_in.alpha")


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        (
            pair("blocks.0.to_q"),
            "1 of its 1 pairs find no weight in fox: blocks.0.to_q; take the LoRA that was trained",
        ),
        (
            {**pair("proj_in"), **pair("a"), **pair("b"), **pair("c"), **pair("d")},
            "4 of its 5 pairs find no weight in fox: a, b, c and 1 more; take",
        ),
        (pair("proj_in", size=(6, 9)), r"proj_in is for a weight of \[6, 9\], and fox has \[6, 8\]; take the LoRA"),
        (pair("transformer_blocks.0.attn1.norm_q"), "1 of its 1 pairs find no weight"),
        ({"proj_in.lora_A.weight": (2, 8)}, "proj_in has only one matrix of its pair; fetch the file again"),
        (
            {**pair("proj_in"), "proj_in.lora_A.weight": (3, 8)},
            r"matrices of proj_in are \[3, 8\] and \[6, 2\], which is",
        ),
        ({**pair("proj_in"), "proj_in.dora_scale": (6,)}, "proj_in.dora_scale is DoRA, which is not applied"),
        ({"proj_in.hada_w1_a": (6, 2)}, "is LoHa, which is not applied"),
        ({"proj_in.lokr_w1": (6, 2)}, "is LoKr, which is not applied"),
        ({**pair("proj_in"), "proj_in.diff_b": (6,)}, "proj_in.diff_b is biases, which is not applied"),
        ({**pair("proj_in"), "other": (6,)}, "other is no part of a LoRA"),
        ({**pair("proj_in"), "proj_in.alpha": (3,)}, "proj_in.alpha is not one number"),
        ({**pair("proj_in"), **pair("patchify_proj")}, "changes proj_in.weight twice, under two names"),
    ],
)
def test_a_file_that_would_be_applied_in_part_or_wrong_is_refused(lora, tensors, said):
    with pytest.raises(ModelError, match=said):
        lora(**tensors)


def test_quantised_matrices_are_refused(tmp_path):
    path = tmp_path / "lora.safetensors"
    save_file({name: torch.ones(shape).to(torch.float8_e4m3fn) for name, shape in pair("proj_in").items()}, path)
    with pytest.raises(ModelError, match=r"is F8_E4M3; take the LoRA in bf16"):
        read_lora(path, SHAPES, model="fox")
