"""What a computation takes of a device, counted without one: bytes of tensors at their peak, and FLOPs.

Modules without memory (the meta device) run as they are. Every new storage is added when an operator makes it and taken
away when nobody holds it any more; inputs and weights were there before and do not count. On meta, attention would take
the mathematical path and hold scores of all tokens for all tokens, so it is replaced by what a fused kernel holds: its
output, and a logarithm a row in float32.

B batch, T tokens, S keys, H heads, D channels of a head.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


class Counted(NamedTuple):
    peak_bytes: int  #: of what was made, at most at a time
    flops: float  #: a multiplication and an addition are two


def counted(run: Callable[[], object]) -> Counted:
    """What ``run`` takes beside what is there before it; tensors that it returns count."""
    storages, attention = _Storages(), _Attention()
    flops = FlopCounterMode(display=False)
    with torch.no_grad(), flops, attention, storages:
        found = run()
    del found
    return Counted(storages.peak_bytes, float(flops.get_total_flops()) + attention.flops)


class _Storages(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the bytes of storages that live."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak_bytes = self._num_bytes = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {_storage_id(each) for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)}
        found = func(*args, **(kwargs or {}))
        for each in tree_leaves(found):
            if isinstance(each, Tensor) and _storage_id(each) not in given:
                self._add(each.untyped_storage())
        return found

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, num_bytes = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self._num_bytes += num_bytes
        self.peak_bytes = max(self.peak_bytes, self._num_bytes)
        weakref.finalize(storage, self._drop, key, num_bytes)

    def _drop(self, key: int, num_bytes: int) -> None:
        self._known.discard(key)
        self._num_bytes -= num_bytes


def _storage_id(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


class _Attention(TorchFunctionMode):
    """Holds of attention what a fused kernel does."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0.0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not torch.nn.functional.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        query, key, value = (*args, *((kwargs or {})[name] for name in ("query", "key", "value")[len(args) :]))[:3]
        return self._attend(query, key, value)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        *batch, num_tokens, dim = query.shape  # [B, H, T, D]
        num_keys, width = key.shape[-2], value.shape[-1]
        self.flops += 2.0 * math.prod(batch) * num_tokens * num_keys * (dim + width)
        _ = query.new_empty((*batch, num_tokens), dtype=torch.float32)
        return query.new_empty((*batch, num_tokens, width))


@contextmanager
def without_copies() -> Iterator[None]:
    """What is brought to the host for its numbers has none on meta: inside the block it stays where it is."""
    before = Tensor.cpu
    Tensor.cpu = lambda self, *_, **__: self  # type: ignore[method-assign]
    try:
        yield
    finally:
        Tensor.cpu = before  # type: ignore[method-assign]
