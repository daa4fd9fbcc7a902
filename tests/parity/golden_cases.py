"""The cases of ``golden/``, and the modules of their files as this program loads them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from ltx_ray.models.ltx2.files import configs
from ltx_ray.models.ltx2.files.checkpoint import config_of, told_by
from ltx_ray.models.ltx2.files.modules import load_module
from ltx_ray.models.ltx2.files.sources import shapes_of
from ltx_ray.spec.weights import Part

GOLDEN = Path(__file__).with_name("golden")
FAMILIES = ("2.0", "2.3", "2.5")


@dataclass(frozen=True)
class Case:
    """One case of a family; ``inputs`` and ``outputs`` hold tensors, nested as in the file."""

    family: str
    name: str
    kind: str
    files: tuple[Path, ...]
    args: dict[str, Any]
    inputs: dict[str, Any]
    outputs: dict[str, Tensor]

    def module(self, part: Part) -> Any:
        """The part, out of the files of the case."""
        return _module(part, self.files_of(part), "fp32")

    def packed(self, part: Part, precision: str) -> Any:
        """The part with its weights as they are stored, computing in float32."""
        return _module(part, self.files_of(part), precision)

    def fresh(self, part: Part, precision: str) -> Any:
        """The same, loaded anew, for whoever changes it."""
        files = self.files_of(part)
        return load_module(part, files, config(part, files), precision=precision, dtype=torch.float32)

    def files_of(self, part: Part) -> tuple[Path, ...]:
        """Where a part may lie."""
        files = (path for path in self.files if path not in self.loras)
        return tuple(path for path in files if (part == "upscaler") == ("upscaler" in path.name))

    @property
    def loras(self) -> tuple[Path, ...]:
        return tuple(path for path in self.files if path.parent.name == "loras")


@cache
def _module(part: Part, files: tuple[Path, ...], precision: str) -> Any:
    """What is in no head is read off shapes, as of a GGUF; tiny files have other heads than those of 19B."""
    return load_module(part, files, config(part, files), precision=precision, dtype=torch.float32)


def config(part: Part, files: Sequence[Path]) -> Mapping[str, Any]:
    """Of diffusers' module for a part of these files."""
    if part == "upscaler":
        return configs.upsampler(told_by(files))
    shapes = shapes_of(dict.fromkeys(("transformer", "connectors", part), files), ("transformer", "connectors", part))
    return config_of(part, told_by(files), shapes, "golden")


@cache
def cases() -> tuple[Case, ...]:
    """All whose files are here."""
    return tuple(case for family in FAMILIES for case in _cases(family) if all(path.exists() for path in case.files))


def _cases(family: str) -> list[Case]:
    told = json.loads((GOLDEN / f"cases-{family}.json").read_text())["cases"]
    tensors = load_file(GOLDEN / f"cases-{family}.safetensors")

    def filled(keys: Any) -> Any:
        return {name: filled(key) for name, key in keys.items()} if isinstance(keys, dict) else tensors[keys]

    return [
        Case(
            family=family,
            name=name,
            kind=case["kind"],
            files=tuple(GOLDEN / path for path in case["files"]),
            args=case.get("args", {}),
            inputs=filled(case["inputs"]),
            outputs=filled(case["outputs"]),
        )
        for name, case in told.items()
    ]


def of_kind(*kinds: str) -> list[Case]:
    return [case for case in cases() if case.kind in kinds]


def named(case: Case) -> str:
    return f"{case.family}-{case.name}"
