"""The blocks of a module in host memory, each on the device only while it computes, the next one already on its way.

Two pieces of device memory are used in turns: one block computes while the next is copied into the other, on a stream
of its own where there is one. What a block computes with is a copy, bit for bit, so results are the same as without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ltx_ray.spec.weights import Part

#: Blocks on the device at a time.
SLOTS = 2
#: Where tensors begin in a slot.
_ALIGN = 256


class _Place(NamedTuple):
    """A tensor of a block: where it stands, and what it is in host memory."""

    owner: dict[str, Any]
    name: str
    host: Tensor


class Blocks:
    """Blocks that take turns on a device. ``enter`` and ``leave`` go round in the order of the blocks.

    Args:
        report: called with the bytes of each block that is ready; may raise to stop.
    """

    def __init__(
        self, blocks: Sequence[torch.nn.Module], device: str, report: Callable[[int], None] = lambda _: None
    ) -> None:
        is_cuda = torch.device(device).type == "cuda"
        self._stream: Any = torch.cuda.Stream() if is_cuda else None  # type: ignore[no-untyped-call]
        self._places: list[list[_Place]] = []
        for block in blocks:
            self._places.append([_in_host(place, is_pinned=is_cuda) for place in _places(block)])
            report(sum(place.host.nbytes for place in self._places[-1]))
        slot_bytes = max((_slot_bytes(each) for each in self._places), default=0)
        self._slots = [torch.empty(slot_bytes, dtype=torch.uint8, device=device) for _ in range(SLOTS)]
        self._in_use = 0  #: the slot of the block that computes, or did last
        self._ahead: tuple[int, list[Tensor]] | None = None  #: a block in the other slot, or on its way there
        self._handles: list[Any] = []

    @property
    def host_bytes(self) -> int:
        """Of all blocks."""
        return sum(place.host.nbytes for places in self._places for place in places)

    def enter(self, block_idx: int) -> None:
        """Put a block on the device, and start with the one after it."""
        other = 1 - self._in_use
        if self._ahead is None or self._ahead[0] != block_idx:
            self._ahead = block_idx, self._copy(block_idx, other)
        if self._stream is not None:
            torch.cuda.current_stream().wait_stream(self._stream)
        _set(self._places[block_idx], self._ahead[1])
        self._in_use, following = other, (block_idx + 1) % len(self._places)
        self._ahead = following, self._copy(following, 1 - other)

    def leave(self, block_idx: int) -> None:
        """Take a block off the device; nothing of it changed there."""
        _set(self._places[block_idx], [place.host for place in self._places[block_idx]])

    def follow(self, blocks: Sequence[torch.nn.Module]) -> None:
        """Come and go whenever one of ``blocks`` is called."""
        for idx, block in enumerate(blocks):
            self._handles.append(block.register_forward_pre_hook(lambda *_, idx=idx: self.enter(idx)))
            self._handles.append(block.register_forward_hook(lambda *_, idx=idx: self.leave(idx)))

    def close(self) -> None:
        """Give back the memory of the slots."""
        for handle in self._handles:
            handle.remove()
        if self._stream is not None:
            self._stream.synchronize()  # a block on its way would be written into memory that is another's by then
        self._handles, self._ahead, self._slots = [], None, []

    def _copy(self, block_idx: int, slot_idx: int) -> list[Tensor]:
        copies, begin = [], 0
        for place in self._places[block_idx]:
            room = self._slots[slot_idx][begin : begin + place.host.nbytes]
            copies.append(room.view(place.host.dtype).view(place.host.shape))
            begin += -(-place.host.nbytes // _ALIGN) * _ALIGN
        if self._stream is None:
            for place, copy in zip(self._places[block_idx], copies, strict=True):
                copy.copy_(place.host)
            return copies
        # The slot was last read by work that is queued already.
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            for place, copy in zip(self._places[block_idx], copies, strict=True):
                copy.copy_(place.host, non_blocking=True)
        return copies


class Parked:
    """A module that is on its device only while it is needed there; what it computes with is a copy, bit for bit.

    Weights do not change, so their copies in host memory are made once, and leaving the device costs nothing again.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        copies: dict[int, Tensor] = {}
        self._places = []
        for place in _places(module):
            if id(place.host) not in copies:
                copies[id(place.host)] = _host_copy(place.host)
            self._places.append(place._replace(host=copies[id(place.host)]))
        self._hosts = list(copies.values())
        self.leave()

    @property
    def host_bytes(self) -> int:
        return sum(host.nbytes for host in self._hosts)

    def leave(self) -> None:
        """Take the module off its device."""
        _set(self._places, [place.host for place in self._places])

    def enter(self, device: str) -> None:
        """Put it there again."""
        moved = {id(host): host.to(device, non_blocking=True) for host in self._hosts}
        _set(self._places, [moved[id(place.host)] for place in self._places])


def _host_copy(tensor: Tensor) -> Tensor:
    host = tensor.to("cpu")
    if tensor.device.type == "cuda":
        with suppress(RuntimeError):  # where so much cannot be pinned, copies are slower and the same
            host = host.pin_memory()
    return host


def blocks_of(part: Part, module: Any) -> list[torch.nn.Module]:
    """The blocks of the transformer, or the layers of the language model of a text encoder."""
    if part == "transformer":
        return list(module.transformer_blocks)
    lists: list[Any] = [each for each in module.modules() if isinstance(each, torch.nn.ModuleList)]
    sizes = [sum(tensor.nbytes for tensor in (*each.parameters(), *each.buffers())) for each in lists]
    return list(lists[sizes.index(max(sizes))])


def device_bytes(module: torch.nn.Module, blocks: Sequence[torch.nn.Module]) -> int:
    """What ``stream`` takes of the device: all but the blocks, and two of these."""
    inside = _tensors_of(blocks)
    rest = sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()) if id(tensor) not in inside)
    return rest + SLOTS * max((_slot_bytes(list(_places(block))) for block in blocks), default=0)


def stream(
    module: Any,
    blocks: Sequence[torch.nn.Module],
    device: str,
    report: Callable[[int], None] = lambda _: None,
) -> Blocks:
    """Move all of ``module`` but its ``blocks`` to the device; these come and go as they are called.

    The transformer's forward does not call its blocks; it looks at each of them in turn (``each_block``).
    """
    inside = _tensors_of(blocks)
    for owner in module.modules():
        for store in (owner._parameters, owner._buffers):
            for name, tensor in store.items():
                if tensor is not None and id(tensor) not in inside:
                    moved = tensor.detach().to(device)
                    is_parameter = store is owner._parameters
                    store[name] = torch.nn.Parameter(moved, requires_grad=False) if is_parameter else moved
    found = Blocks(blocks, device, report)
    found.follow(blocks)
    module.offloaded_blocks = found
    return found


def each_block(transformer: Any) -> Iterator[tuple[int, Any]]:
    """The blocks of a transformer with their numbers, each on the device while it is looked at."""
    offloaded: Blocks | None = getattr(transformer, "offloaded_blocks", None)
    for block_idx, block in enumerate(transformer.transformer_blocks):
        if offloaded is not None:
            offloaded.enter(block_idx)
        yield block_idx, block
        if offloaded is not None:
            offloaded.leave(block_idx)


def _places(block: torch.nn.Module) -> Iterator[_Place]:
    for owner in block.modules():
        for store in (owner._parameters, owner._buffers):
            for name, tensor in store.items():
                if tensor is not None:
                    yield _Place(store, name, tensor.detach())


def _in_host(place: _Place, *, is_pinned: bool) -> _Place:
    """The place with its tensor where copies begin; one tensor at a time, so that no block is in memory twice."""
    if is_pinned:
        with suppress(RuntimeError):  # where so much cannot be pinned, copies are slower and the same
            place = place._replace(host=place.host.pin_memory())
    _set([place], [place.host])
    return place


def _slot_bytes(places: Sequence[_Place]) -> int:
    return sum(-(-place.host.nbytes // _ALIGN) * _ALIGN for place in places)


def _tensors_of(blocks: Sequence[torch.nn.Module]) -> set[int]:
    return {id(tensor) for block in blocks for tensor in (*block.parameters(), *block.buffers())}


def _set(places: Sequence[_Place], tensors: Sequence[Tensor]) -> None:
    for place, tensor in zip(places, tensors, strict=True):
        is_parameter = isinstance(place.owner[place.name], torch.nn.Parameter)
        place.owner[place.name] = torch.nn.Parameter(tensor, requires_grad=False) if is_parameter else tensor
