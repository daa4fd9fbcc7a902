"""Tiny Gemma 3 text encoders in the forms that people have, and an independent reading of their numbers."""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path

import numpy as np
import sentencepiece
import torch
import transformers
from safetensors.torch import save_file

VOCAB, WIDTH, LAYERS = 420, 256, 7
#: All that no shape shows, as google/gemma-3-12b-it has it.
CONFIG = {
    "vocab_size": VOCAB,
    "hidden_size": WIDTH,
    "intermediate_size": 128,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "query_pre_attn_scalar": 256,
    "sliding_window": 1024,
    "rope_theta": 1_000_000.0,
    "rope_local_base_freq": 10_000.0,
    "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    "max_position_embeddings": 131072,
}
_TEXTS = [
    "the red fox runs over snow",
    "a cat sits on the mat 123",
    "hello  world\nnew line",
    "der Fuchs läuft über den Schnee",
    "cinematic wide shot of a city at night, rain",
]


@cache
def spiece() -> bytes:
    """A tokenizer as Gemma's was trained: byte fallback, no prefix, single digits, runs of spaces of their own."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(_TEXTS * 200),
        model_writer=written,
        vocab_size=VOCAB,
        model_type="bpe",
        byte_fallback=True,
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        split_digits=True,
        allow_whitespace_only_pieces=True,
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        pad_piece="<pad>",
        bos_piece="<bos>",
        eos_piece="<eos>",
        user_defined_symbols=[
            "<mask>",
            "<start_of_turn>",
            "<end_of_turn>",
            "\n",
            "\n\n",
            *("▁" * n for n in range(2, 17)),
        ],
        num_threads=1,
        minloglevel=2,
    )
    return written.getvalue()


@cache
def language_model() -> transformers.Gemma3TextModel:
    torch.manual_seed(0)
    model = transformers.Gemma3TextModel(transformers.Gemma3TextConfig(**CONFIG)).eval()
    for parameter in model.parameters():
        parameter.data = parameter.data.bfloat16().float()  # as a file in 16 bits has it
    return model


def write_folder(folder: Path) -> Path:
    """As transformers writes it, with towers that nobody reads."""
    folder.mkdir()
    config = {"model_type": "gemma3", "text_config": {**CONFIG, "model_type": "gemma3_text"}}
    (folder / "config.json").write_text(json.dumps(config))
    state = {f"language_model.model.{name}": each.bfloat16() for name, each in language_model().state_dict().items()}
    state["vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight"] = torch.ones(2, 2)
    names = sorted(state)
    files = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, own in files.items():
        save_file({name: state[name].contiguous() for name in own}, folder / file)
    index = {"weight_map": {name: file for file, own in files.items() for name in own}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "tokenizer.model").write_bytes(spiece())
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "GemmaTokenizer", "add_bos_token": True})
    )
    return folder


def one_file(path: Path, **changes: torch.Tensor) -> Path:
    """As ComfyUI has it: no configuration, its tokenizer inside."""
    state = {f"model.{name}": each.bfloat16().contiguous() for name, each in language_model().state_dict().items()}
    state["vision_model.encoder.layers.0.mlp.fc1.weight"] = torch.ones(2, 2)
    state["multi_modal_projector.mm_soft_emb_norm.weight"] = torch.ones(2)
    state["spiece_model"] = torch.frombuffer(bytearray(spiece()), dtype=torch.uint8)
    save_file({**state, **changes}, path)
    return path


def matrices() -> list[str]:
    """Names of layers whose weights the quantised files have in fewer bits."""
    return [
        name.removesuffix(".weight")
        for name, each in language_model().named_parameters()
        if each.ndim == 2 and "layers." in name
    ]


def as_fp8(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    scale = weight.abs().max() / 448
    return (weight / scale).to(torch.float8_e4m3fn), scale


#: Sizes of four bits: two of the exponent, one of the mantissa.
_FP4 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], dtype=np.float32)


def as_fp4(weight: torch.Tensor) -> tuple[dict[str, torch.Tensor], np.ndarray]:
    """The tensors of nvfp4 by the ends of their names, and the numbers they stand for."""
    numbers = weight.numpy()
    rows, columns = numbers.shape
    second = np.float32(np.abs(numbers).max() / (448 * 6))
    blocks = numbers.reshape(rows, columns // 16, 16)
    scales = torch.from_numpy(np.abs(blocks).max(-1) / 6 / second).to(torch.float8_e4m3fn)
    scale = scales.float().numpy()[..., None] * second
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.nan_to_num(np.abs(blocks) / scale)
    codes = np.abs(share[..., None] - _FP4).argmin(-1).astype(np.uint8)
    signs = (blocks < 0).astype(np.uint8)
    wanted = (np.where(signs == 1, -_FP4[codes], _FP4[codes]) * scale).reshape(rows, columns)
    nibbles = (codes | (signs << 3)).reshape(rows, columns)
    packed = (nibbles[:, ::2] << 4) | nibbles[:, 1::2]  # the first of two in the high half
    return {
        "weight": torch.from_numpy(packed),
        "weight_scale": _tiled(scales),
        "weight_scale_2": torch.tensor(second),
        "comfy_quant": torch.frombuffer(bytearray(b'{"format": "nvfp4"}'), dtype=torch.uint8),
    }, wanted


def _tiled(scales: torch.Tensor) -> torch.Tensor:
    """In tiles of 128 rows and 4 blocks, row r of a tile at (r % 32) * 16 + (r // 32) * 4: element by element."""
    rows, blocks = scales.shape
    high, wide = -(-rows // 128), -(-blocks // 4)
    flat = np.zeros(high * wide * 512, dtype=np.uint8)
    given = scales.view(torch.uint8).numpy()
    for row in range(rows):
        for block in range(blocks):
            tile, inside = (row // 128) * wide + block // 4, row % 128
            flat[tile * 512 + (inside % 32) * 16 + (inside // 32) * 4 + block % 4] = given[row, block]
    return torch.from_numpy(flat).view(torch.float8_e4m3fn).reshape(high * 128, wide * 4)
