"""Tensors put into a module that was made without memory for them."""

from __future__ import annotations

import torch
from torch import Tensor

from ltx_ray.models.ltx2.packed import Packed, PackedLinear


def is_weight_of_linear(module: torch.nn.Module, name: str) -> bool:
    """Whether a tensor of a module is a matrix that can stay packed."""
    owner, _, last = name.rpartition(".")
    return last == "weight" and type(module.get_submodule(owner)) is torch.nn.Linear


def put(module: torch.nn.Module, name: str, tensor: Tensor) -> None:
    """A parameter or a buffer, in its place."""
    owner_name, _, last = name.rpartition(".")
    owner = module.get_submodule(owner_name)
    if last in owner._buffers:
        owner._buffers[last] = tensor
    else:
        owner._parameters[last] = torch.nn.Parameter(tensor, requires_grad=False)


def put_packed(module: torch.nn.Module, name: str, packed: Packed) -> None:
    """In place of the Linear whose weight it is; a bias that comes later finds its place there."""
    path = name.removesuffix(".weight")
    owner, _, last = path.rpartition(".")
    linear = module.get_submodule(path)
    setattr(module.get_submodule(owner), last, PackedLinear(packed, linear.bias))  # type: ignore[arg-type]
