"""What a text encoder is, from the heads of its files alone: which Gemma, how wide, where its weights stand. No torch.

    a folder of transformers          config.json, weights in one file or in shards, a tokenizer
    one file of LTX-2.5               Gemma 4 with configuration and tokenizer inside (metadata ``gemma_config``)
    one file of ComfyUI               Gemma 3 12B without a configuration, its tokenizer as ``spiece_model``

Only the language model is read, no tower for pictures or sound.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.files.header import Header, read_header
from ltx_ray.models.ltx2.files.quantised import Form, forms

#: Tensors that are files: tokenizers, and what stands beside one.
TOKENIZER, SPIECE, ASSET = "tokenizer_json", "spiece_model", "hf_asset__"
_WHAT_WOULD_DO = "name a folder of transformers, the packed file of LTX-2.5, or ComfyUI's file of Gemma 3"
#: Before the names of the language model's tensors, the longest first.
_PREFIXES = ("model.language_model.model.", "language_model.model.", "model.language_model.", "model.")
_NOT_READ = re.compile(
    r"vision_model\.|vision_tower\.|multi_modal_projector\.|audio_|embed_vision\.|embed_audio\.|lm_head\.|"
    r"text_embedding_projection\.|.*(?:vision_tower|multi_modal_projector|audio_tower|embed_vision|embed_audio)\."
)
#: ``model_type`` of a folder. Their relatives (gemma3n, gemma4_assistant) are other models.
_GEMMA: Mapping[str, Literal[3, 4]] = {
    "gemma3": 3,
    "gemma3_text": 3,
    "gemma4": 4,
    "gemma4_text": 4,
    "gemma4_unified": 4,
    "gemma4_unified_text": 4,
}
#: What no shape of Gemma 3 12B shows. Source: config.json of google/gemma-3-12b-it.
_GEMMA3 = {
    "max_position_embeddings": 131072,
    "sliding_window": 1024,
    "query_pre_attn_scalar": 256,
    "rms_norm_eps": 1e-6,
    "hidden_activation": "gelu_pytorch_tanh",
    "rope_parameters": {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1_000_000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
    },
}


class Stored(NamedTuple):
    """A tensor of the language model: its name there, and where it is."""

    name: str
    header: Header
    stored: str
    form: Form

    @property
    def shape(self) -> tuple[int, ...]:
        """Of its numbers; nvfp4 has two of them in a byte."""
        shape = self.header.tensors[self.stored].shape
        return (shape[0], 2 * shape[1]) if self.form.kind == "fp4" else tuple(shape)


@dataclass(frozen=True, slots=True)
class TextFiles:
    path: Path
    gemma: Literal[3, 4]
    config: Mapping[str, Any]  #: of the language model, as transformers has it
    weights: tuple[Stored, ...]

    @property
    def width(self) -> int:
        """Numbers a token in all hidden states, the embedding among them."""
        return int(self.config["hidden_size"]) * (int(self.config["num_hidden_layers"]) + 1)

    @property
    def precision(self) -> str:
        """Of its matrices as they are stored."""
        kinds = {each.form.kind for each in self.weights}
        return next((kind for kind in ("fp4", "fp8") if kind in kinds), "bf16")


def look_at_text_encoder(path: Path) -> TextFiles:
    """Raises ModelError: it is none of the three, is damaged, or lacks something."""
    if path.is_dir():
        return _folder(path)
    header = read_header(path)
    if TOKENIZER in header.tensors and "gemma_config" in header.metadata:
        config = _json(path, header.metadata["gemma_config"])
        return TextFiles(path, 4, _text_config(path, config), _all_weights([header]))
    if SPIECE in header.tensors:
        weights = _all_weights([header])
        return TextFiles(path, 3, _config_of_gemma3(path, weights), weights)
    raise ModelError(f"{path}: is no text encoder with its tokenizer; {_WHAT_WOULD_DO}")


def _folder(path: Path) -> TextFiles:
    try:
        config = _json(path / "config.json", (path / "config.json").read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        raise ModelError(f"{path}: no readable config.json; {_WHAT_WOULD_DO}") from None
    kind = str(config.get("model_type"))
    if kind not in _GEMMA:
        raise ModelError(f"{path}: is {kind}, neither Gemma 3 nor Gemma 4; {_WHAT_WOULD_DO}")
    tokenizer_folder(path)
    headers = [read_header(file) for file in shards(path)]
    return TextFiles(path, _GEMMA[kind], _text_config(path, config), _all_weights(headers))


def tokenizer_folder(path: Path) -> Path:
    """The folder itself, or the one beside it in a pipeline of diffusers.

    Raises:
        ModelError: none has a tokenizer.
    """
    for folder in (path, path.parent / "tokenizer"):
        if any((folder / name).exists() for name in ("tokenizer.json", "tokenizer.model")):
            return folder
    raise ModelError(f"{path}: has no tokenizer.json and no tokenizer.model; fetch the whole folder")


def shards(folder: Path) -> list[Path]:
    """The files of weights in a folder: those that an index names, else all.

    Raises:
        ModelError: there are none, or the index cannot be read or names others than plain files beside it.
    """
    if indexes := sorted(folder.glob("*.safetensors.index.json")):
        try:
            named = sorted(set(json.loads(indexes[0].read_text("utf-8"))["weight_map"].values()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise ModelError(f"{indexes[0]}: cannot be read; fetch it again") from None
        if not all(isinstance(name, str) and Path(name).name == name for name in named):
            raise ModelError(f"{indexes[0]}: names files that are not beside it; fetch it again")
        if missing := [name for name in named if not (folder / name).exists()]:
            raise ModelError(f"{folder}: lacks {', '.join(missing[:3])}; fetch the whole folder")
        return [folder / name for name in named]
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        raise ModelError(f"{folder}: has no safetensors; pickled weights are never read, fetch the safetensors")
    return found


def _all_weights(headers: list[Header]) -> tuple[Stored, ...]:
    found: dict[str, Stored] = {}
    for each in _weights(headers):
        if (other := found.setdefault(each.name, each)) is not each:
            one, two = (f"{some.stored} of {some.header.path}" for some in (other, each))
            raise ModelError(f"{one}: is the same weight as {two}; leave only the files of one text encoder there")
    return tuple(found.values())


def _weights(headers: list[Header]) -> Iterator[Stored]:
    for header in headers:
        own = [name for name in header.tensors if not _is_asset(name) and not _NOT_READ.match(name)]
        for stored, form in forms(header, own, with_fp4=True).items():
            prefix = next((each for each in _PREFIXES if stored.startswith(each)), "")
            yield Stored(stored.removeprefix(prefix), header, stored, form)


def _is_asset(name: str) -> bool:
    return name in (TOKENIZER, SPIECE) or name.startswith(ASSET)


def _config_of_gemma3(path: Path, weights: tuple[Stored, ...]) -> dict[str, Any]:
    """Sizes from shapes, the rest from the table."""
    shapes = {each.name: each.shape for each in weights}
    layers = {int(match[1]) for name in shapes if (match := re.match(r"layers\.(\d+)\.", name))}
    try:
        head_dim = shapes["layers.0.self_attn.q_norm.weight"][0]
        vocab_size, hidden_size = shapes["embed_tokens.weight"]
        return {
            **_GEMMA3,
            "vocab_size": vocab_size,
            "hidden_size": hidden_size,
            "intermediate_size": shapes["layers.0.mlp.gate_proj.weight"][0],
            "num_hidden_layers": len(layers),
            "num_attention_heads": shapes["layers.0.self_attn.q_proj.weight"][0] // head_dim,
            "num_key_value_heads": shapes["layers.0.self_attn.k_proj.weight"][0] // head_dim,
            "head_dim": head_dim,
        }
    except (KeyError, IndexError, ValueError, ZeroDivisionError):
        raise ModelError(f"{path}: is no Gemma 3; {_WHAT_WOULD_DO}") from None


def _text_config(path: Path, config: Mapping[str, Any]) -> Mapping[str, Any]:
    text = config.get("text_config", config)
    if not isinstance(text, dict) or not all(
        type(text.get(key)) is int for key in ("hidden_size", "num_hidden_layers")
    ):
        raise ModelError(f"{path}: its configuration is not that of a Gemma; {_WHAT_WOULD_DO}")
    # How attention is computed is no fact of the weights, and a name in it could fetch a kernel.
    return {key: value for key, value in text.items() if not key.startswith("_") and key != "attn_implementation"}


def _json(path: Path, text: str) -> Mapping[str, Any]:
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        raise ModelError(f"{path}: its configuration is no JSON object; fetch it again")
    return read
