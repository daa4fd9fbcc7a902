"""Text encoders out of the files that people have, as language models of transformers with their tokenizers.

Weights come one by one into a model that was made without memory. Nothing is fetched, unpickled or run from the files.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate import init_empty_weights
from huggingface_hub.errors import StrictDataclassError
from transformers.models.gemma4_unified.configuration_gemma4_unified import Gemma4UnifiedTextConfig
from transformers.models.gemma4_unified.modeling_gemma4_unified import Gemma4UnifiedTextModel

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.files.header import read_header
from ltx_ray.models.ltx2.files.placing import is_weight_of_linear, put, put_packed
from ltx_ray.models.ltx2.files.quantised import Form
from ltx_ray.models.ltx2.files.read import Report, TensorFile, no_report
from ltx_ray.models.ltx2.files.sizes import TEXT_KEEPS
from ltx_ray.models.ltx2.files.text_files import (
    ASSET,
    SPIECE,
    TOKENIZER,
    TextFiles,
    look_at_text_encoder,
    tokenizer_folder,
)
from ltx_ray.models.ltx2.types import compute_type

_CLASSES: dict[int, tuple[Any, Any]] = {
    3: (transformers.Gemma3TextConfig, transformers.Gemma3TextModel),
    4: (Gemma4UnifiedTextConfig, Gemma4UnifiedTextModel),
}
#: What transformers raises of a configuration that is wrong.
_CONFIG_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    RuntimeError,
    StrictDataclassError,
    TypeError,
    ValueError,
)
_PLAIN_NAME = re.compile(r"\w[\w.+-]{0,99}", re.ASCII)


class TextModel:
    """A language model as ``Ltx2TextEncoder`` takes it: ``model`` gives hidden states."""

    def __init__(self, model: torch.nn.Module, dtype: torch.dtype) -> None:
        self.model, self.dtype = model, dtype

    @property
    def device(self) -> torch.device:
        """Where tokens are taken."""
        weight: torch.Tensor = self.model.get_parameter("embed_tokens.weight")
        return weight.device


def load_text_encoder(
    path: Path, *, precision: str = "fp32", device: str = "cpu", report: Report = no_report
) -> tuple[TextModel, Any]:
    """The language model and the tokenizer of a folder or a file.

    Raises:
        ModelError: it is no text encoder, or lacks a tensor.
    """
    files = look_at_text_encoder(path)
    dtype = compute_type("text_encoder", precision)
    model = _without_weights(files)
    _check_whole(files, model)
    for header in dict.fromkeys(each.header.path for each in files.weights):
        own = [each for each in files.weights if each.header.path == header]
        with TensorFile(own[0].header, report) as file:
            for each in sorted(own, key=lambda each: each.header.tensors[each.stored].start):
                is_kept = precision in TEXT_KEEPS and each.form.kind != "plain"
                if is_kept and is_weight_of_linear(model, each.name):
                    put_packed(model, each.name, file.packed(each.stored, each.form, device=device))
                else:
                    put(model, each.name, file.tensor(each.stored, each.form, dtype=dtype, device=device))
    for name, buffer in model.named_buffers():
        put(model, name, buffer.to(device))
    return TextModel(model.eval().requires_grad_(False), dtype), _tokenizer(files)


def _without_weights(files: TextFiles) -> torch.nn.Module:
    config_class, model_class = _CLASSES[files.gemma]
    try:
        with init_empty_weights(include_buffers=False):
            model: torch.nn.Module = model_class(config_class(**files.config))
            return model
    except _CONFIG_ERRORS as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{files.path}: its configuration is not that of Gemma {files.gemma} ({reason}); fetch it again"
        ) from None


def _check_whole(files: TextFiles, model: torch.nn.Module) -> None:
    state, shapes = model.state_dict(), {each.name: each.shape for each in files.weights}
    expected, held = set(state), set(shapes)
    missing = sorted(name for name in expected - held if not name.endswith(("inv_freq", "embed_scale")))
    unknown = sorted(held - expected)
    for what, some in (("lacks", missing), ("holds, and nobody knows,", unknown)):
        if some:
            more = f" and {len(some) - 3} more" if len(some) > 3 else ""
            raise ModelError(f"{files.path}: {what} {', '.join(some[:3])}{more} of Gemma {files.gemma}; fetch it again")
    for name, shape in shapes.items():
        if shape != tuple(state[name].shape):
            raise ModelError(
                f"{files.path}: {name} is {list(shape)}, and its configuration or its other weights say "
                f"{list(state[name].shape)}; fetch it again"
            )


def _tokenizer(files: TextFiles) -> Any:
    """Of the folder, or out of the file; never with code of its own."""
    if files.path.is_dir():
        folder = tokenizer_folder(files.path)
        return _opened(folder, transformers.AutoTokenizer, folder)
    header = read_header(files.path)
    with tempfile.TemporaryDirectory() as temporary, TensorFile(header) as file:
        folder = Path(temporary)

        def write(stored: str, name: str) -> None:
            content = file.tensor(stored, Form("plain"), dtype=torch.uint8, device="cpu")
            (folder / name).write_bytes(content.numpy().tobytes())

        if SPIECE in header.tensors:
            write(SPIECE, "tokenizer.model")
            return _opened(files.path, transformers.GemmaTokenizer, folder, add_bos_token=True)
        write(TOKENIZER, "tokenizer.json")
        for stored in header.tensors:
            if stored.startswith(ASSET):
                name = stored.removeprefix(ASSET)
                if not _PLAIN_NAME.fullmatch(name):
                    raise ModelError(f"{files.path}: holds a file {name!r}, which is no plain name; fetch it again")
                write(stored, name)
        return _opened(files.path, transformers.AutoTokenizer, folder)


def _opened(where: Path, kind: Any, folder: Path, **options: bool) -> Any:
    """A tokenizer that reads; ``where`` is what the user named."""
    try:
        tokenizer = kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **options)
        tokenizer("a")  # without a vocabulary it opens all the same, and fails at the first word
    except Exception as error:  # tokenizers raises no class of its own
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{where}: its tokenizer cannot be read ({reason}); fetch it again") from None
    return tokenizer
