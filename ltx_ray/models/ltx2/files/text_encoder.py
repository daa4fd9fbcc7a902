"""Text encoders: a folder as transformers writes it, or the one file of LTX-2.5 that holds Gemma 4 with its tokenizer.

Only the language model is loaded, no tower for pictures or sound. Nothing is fetched, unpickled or run from the files.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import transformers
from safetensors import safe_open
from transformers.models.gemma4_unified.configuration_gemma4_unified import Gemma4UnifiedTextConfig
from transformers.models.gemma4_unified.modeling_gemma4_unified import Gemma4UnifiedTextModel

from ltx_ray.errors import ModelError

#: Tensors that are files: the tokenizer, and what stands beside one.
_TOKENIZER, _BESIDE = "tokenizer_json", "hf_asset__"


def load_folder(path: Path, *, dtype: torch.dtype) -> tuple[Any, Any]:
    """The same of a folder of transformers that holds a Gemma 3 and its tokenizer."""
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model: Any = transformers.Gemma3ForConditionalGeneration.from_pretrained(
        path, dtype=dtype, use_safetensors=True, local_files_only=True
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    return model.eval(), tokenizer


def load_packed(path: Path, *, dtype: torch.dtype) -> tuple[Any, Any]:
    """The language model and the tokenizer of a packed file; ``model.model`` gives hidden states.

    Raises:
        ModelError: it is no such file, or lacks a tensor.
    """
    with safe_open(path, framework="pt") as file:
        told = (file.metadata() or {}).get("gemma_config")
        names = list(file.keys())
        if told is None or _TOKENIZER not in names:
            raise ModelError(f"{path}: is no text encoder of LTX-2.5; name its file, or a folder of transformers")
        config = Gemma4UnifiedTextConfig(**json.loads(told)["text_config"])
        state = {
            name.removeprefix("model."): file.get_tensor(name).to(dtype) for name in names if name.startswith("model.")
        }
        beside = {name: bytes(file.get_tensor(name).numpy()) for name in names if name.startswith(_BESIDE)}
        tokenizer = _tokenizer(bytes(file.get_tensor(_TOKENIZER).numpy()), beside)
    model: Any = Gemma4UnifiedTextModel(config)
    model = model.to(dtype).eval()
    missing, unknown = model.load_state_dict(state, strict=False)
    if missing or unknown:
        raise ModelError(f"{path}: lacks {missing[:3]} or holds unknown {unknown[:3]}; fetch it again")
    return SimpleNamespace(model=model, device=model.device, dtype=model.dtype), tokenizer


def _tokenizer(content: bytes, beside: dict[str, bytes]) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tokenizer.json").write_bytes(content)
        for name, asset in beside.items():
            file_name = name.removeprefix(_BESIDE)
            if Path(file_name).name != file_name:
                raise ModelError(f"text encoder: holds a file {file_name!r}, which is no plain name")
            (Path(folder) / file_name).write_bytes(asset)
        return transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
