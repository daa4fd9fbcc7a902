"""LoRAs on a loaded module, or in its weights while it is loaded.

As adapters they are computed beside each layer, y = W x + strength * alpha / rank * up (down x), so that a set of them
is switched without loading the weights again, and none leaves no trace: weights are never changed and never restored.
Folded they are added to the weights in float32, before these take the type of their part.
Adapters apply in the order they are given in, because it decides the last bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from ltx_ray.models.ltx2.files.lora import LoraFile
from ltx_ray.spec.weights import Part

#: From a weight in float32 to the same with a LoRA in it, by the name of the weight.
Folds = Mapping[str, Callable[[Tensor], Tensor]]


@dataclass(frozen=True, slots=True)
class Strong:
    """A LoRA's file, and how strongly it is applied."""

    file: LoraFile
    strength: float


def folds(loras: Iterable[Strong], part: Part) -> Folds:
    """What ``loras`` add to the weights of a part; matrices are read when their weight is."""
    by_weight: dict[str, list[tuple[Strong, Any]]] = {}
    for lora in loras:
        for pair in lora.file.pairs.get(part, ()):
            by_weight.setdefault(pair.weight, []).append((lora, pair))

    def fold(added: Sequence[tuple[Strong, Any]]) -> Callable[[Tensor], Tensor]:
        def folded(weight: Tensor) -> Tensor:
            for lora, pair in added:
                with safe_open(lora.file.path, framework="pt", device=str(weight.device)) as file:
                    down, up = _matrices(file, pair, torch.float32)
                weight = torch.addmm(weight, up, down, alpha=lora.strength)
            return weight

        return folded

    return {weight: fold(added) for weight, added in by_weight.items()}


class Adapters:
    """The LoRAs on one module; ``switch`` lets go of those that are not wanted any more."""

    def __init__(self, module: torch.nn.Module, part: Part) -> None:
        self._module, self._part = module, part
        self._applied: tuple[Strong, ...] = ()
        self._handles: list[RemovableHandle] = []
        self._beside: list[_Beside] = []

    @property
    def num_bytes(self) -> int:
        """Of the matrices that are applied."""
        return sum(beside.num_bytes for beside in self._beside)

    def switch(self, loras: Sequence[Strong]) -> None:
        """Apply ``loras``, and no others."""
        if tuple(loras) == self._applied:
            return
        for handle in self._handles:
            handle.remove()
        self._handles, self._beside, self._applied = [], [], ()
        for lora in loras:
            self._apply(lora)
        self._applied = tuple(loras)

    def _apply(self, lora: Strong) -> None:
        with safe_open(lora.file.path, framework="pt") as file:
            for pair in lora.file.pairs.get(self._part, ()):
                layer = self._module.get_submodule(pair.weight.removesuffix(".weight"))
                beside = _Beside(*_matrices(file, pair, None), lora.strength)
                self._handles.append(layer.register_forward_hook(beside))
                self._beside.append(beside)


class _Beside:
    """Adds to what a layer gives; its matrices take the type and the device of what the layer is given."""

    def __init__(self, down: Tensor, up: Tensor, strength: float) -> None:
        self._down, self._up, self._strength = down, up, strength

    @property
    def num_bytes(self) -> int:
        return self._down.nbytes + self._up.nbytes

    def __call__(self, layer: torch.nn.Module, given: tuple[Tensor, ...], made: Tensor) -> Tensor:
        (x,) = given
        if self._down.dtype != x.dtype or self._down.device != x.device:
            self._down, self._up = self._down.to(x.device, x.dtype), self._up.to(x.device, x.dtype)
        return torch.add(made, functional.linear(functional.linear(x, self._down), self._up), alpha=self._strength)


def _matrices(file: Any, pair: Any, dtype: torch.dtype | None) -> tuple[Tensor, Tensor]:
    """``down`` [rank, in], and ``up`` [out, rank] times alpha / rank; ``dtype`` None = the file's."""
    down, up = file.get_tensor(pair.down), file.get_tensor(pair.up)
    if dtype is not None:
        down, up = down.to(dtype), up.to(dtype)
    if pair.alpha is not None:
        scale = float(file.get_tensor(pair.alpha)) / len(down)
        up = up if scale == 1.0 else (up.float() * scale).to(up.dtype)
    return down, up
