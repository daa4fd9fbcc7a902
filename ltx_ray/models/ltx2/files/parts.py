"""Parts out of a checkpoint that comes as official files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ltx_ray.models.fetch import turn
from ltx_ray.models.ltx2.adapters import Strong, folds
from ltx_ray.models.ltx2.files.checkpoint import configs_of, upscaler_config
from ltx_ray.models.ltx2.files.lora import Shapes, read_lora
from ltx_ray.models.ltx2.files.modules import load_module
from ltx_ray.models.ltx2.files.read import Report
from ltx_ray.models.ltx2.files.sizes import held_bytes, text_encoder_bytes
from ltx_ray.models.ltx2.files.sources import lora_shapes, weights_of
from ltx_ray.models.ltx2.files.text_encoder import load_text_encoder
from ltx_ray.spec.weights import Lora, Part, Weights


class Files:
    """Satisfies ``models.ltx2.parts.Source``.

    Args:
        files: of each part.
        loras: files of LoRAs by digest.
        upscalers: files of upsamplers by digest, where there are several.
        name: what errors call the model.
    """

    def __init__(
        self,
        files: Mapping[Part, Sequence[str]],
        *,
        loras: Mapping[str, str],
        name: str,
        upscalers: Mapping[str, str] | None = None,
    ) -> None:
        self._files = {part: tuple(map(Path, paths)) for part, paths in files.items()}
        self._upscalers = {digest: Path(path) for digest, path in (upscalers or {}).items()}
        self._loras, self._name = loras, name

    def load(self, weights: Weights, *, device: str, compute: str, report: Report) -> Any:
        """Processes of a machine take turns, so that each file is read from its disk once."""
        with turn(self._of(weights)[0], lambda: report(0)):
            return self._load(weights, device=device, compute=compute, report=report)

    def _load(self, weights: Weights, *, device: str, compute: str, report: Report) -> Any:
        part, files = weights.part, self._of(weights)
        if part == "text_encoder":
            return load_text_encoder(files[0], precision=weights.precision, device=device, report=report)
        folded = [self.lora(lora) for lora in weights.loras if lora.mode == "fold"]
        return load_module(
            part,
            files,
            upscaler_config(files[0]) if weights.digest in self._upscalers else self._configs[part],
            precision=weights.precision,
            device=device,
            compute=compute,
            folds=folds(folded, part),
            report=report,
        )

    def num_bytes(self, weights: Weights) -> int:
        part, files = weights.part, self._of(weights)
        if part == "text_encoder":
            return text_encoder_bytes(files[0], weights.precision)
        folded = [self.lora(lora).file for lora in weights.loras if lora.mode == "fold"]
        changed = {pair.weight for file in folded for pair in file.pairs.get(part, ())}
        return held_bytes(list(weights_of(part, files)), weights.precision, changed)

    def _of(self, weights: Weights) -> tuple[Path, ...]:
        """The files of a part; of several upscalers the one that is wanted."""
        if weights.part == "upscaler" and weights.digest in self._upscalers:
            return (self._upscalers[weights.digest],)
        return self._files[weights.part]

    def lora(self, lora: Lora) -> Strong:
        file = read_lora(Path(self._loras[lora.digest]), self._shapes, model=self._name)
        return Strong(file, lora.strength)

    @cached_property
    def _shapes(self) -> Shapes:
        return lora_shapes(self._files)

    @cached_property
    def _configs(self) -> Mapping[Part, Mapping[str, Any]]:
        return configs_of(self._files)
