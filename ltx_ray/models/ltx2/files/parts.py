"""The modules of a checkpoint that comes as official files, each loaded when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from ltx_ray.models.ltx2.files.modules import load_module
from ltx_ray.models.ltx2.files.text_encoder import load_folder, load_packed
from ltx_ray.models.ltx2.types import TORCH_TYPES
from ltx_ray.spec.weights import Part


class FileParts:
    """As ``models.ltx2.model.Parts``, out of files of their own."""

    def __init__(
        self, files: Mapping[Part, Sequence[str]], *, precisions: Mapping[Part, str], device: str = "cpu"
    ) -> None:
        self._files = {part: [Path(path) for path in paths] for part, paths in files.items()}
        self._precisions, self._device = precisions, device

    @cached_property
    def transformer(self) -> Any:
        return self._load("transformer")

    @cached_property
    def connectors(self) -> Any:
        return self._load("connectors")

    @cached_property
    def vae(self) -> Any:
        return self._load("video_vae")

    @cached_property
    def audio_vae(self) -> Any:
        return self._load("audio_vae")

    @cached_property
    def vocoder(self) -> Any:
        """In float32, whatever the file's type: in 16 bits the extension of its bandwidth is lost in noise."""
        return load_module("vocoder", self._files["vocoder"], dtype=torch.float32).to(self._device)

    @cached_property
    def latent_upsampler(self) -> Any:
        return self._load("upscaler")

    @property
    def text_encoder(self) -> Any:
        return self._text[0]

    @property
    def tokenizer(self) -> Any:
        return self._text[1]

    @cached_property
    def _text(self) -> tuple[Any, Any]:
        (path,) = self._files["text_encoder"]
        load = load_folder if path.is_dir() else load_packed
        return load(path, dtype=self._type("text_encoder"))

    def _load(self, part: Part) -> Any:
        return load_module(part, self._files[part], dtype=self._type(part)).to(self._device)

    def _type(self, part: Part) -> torch.dtype:
        return TORCH_TYPES[self._precisions[part]]
