"""The parts of a model that a process holds: loaded when they are first used, gone when their memory is needed.

A part is held as its weights say: precision, folded LoRAs, adapters. Wanting it with another precision or other folded
LoRAs loads it anew; adapters are switched in place. Where a device's memory is limited, the parts that were used least
recently leave before one comes that does not fit beside them, so that a card which holds any one part renders; one
that does not fit beside the others of its stage keeps its blocks in host memory (``models.ltx2.offload``). What is
computed is the same.

A process with a budget (``spec.machine``) keeps what leaves its device in host memory, where that has room, and takes
it back from there.

A part that left is freed when nobody has it any more: ask for a part where it is used, and keep it no longer.
"""

from __future__ import annotations

import gc
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from threading import RLock
from typing import Any, Protocol

import torch

from ltx_ray.models.ltx2.adapters import Adapters, Strong
from ltx_ray.models.ltx2.files.read import Report, no_report
from ltx_ray.models.ltx2.memory import Memory
from ltx_ray.models.ltx2.offload import Blocks, Parked, blocks_of, device_bytes, stream
from ltx_ray.spec.weights import PARTS, Lora, Part, Weights


class Source(Protocol):
    """Where parts come from."""

    def load(self, weights: Weights, *, device: str, compute: str, report: Report) -> Any:
        """A module with the folded LoRAs of ``weights`` in it; of the text encoder, it and its tokenizer.

        Args:
            device: where it stays.
            compute: where LoRAs are folded: one place whatever stays where, so that the bytes are the same.
        """

    def num_bytes(self, weights: Weights) -> int:
        """About how much memory it takes."""

    def lora(self, lora: Lora) -> Strong: ...


@dataclass(slots=True)
class _Held:
    weights: Weights
    module: Any  #: of the text encoder, it and its tokenizer
    num_bytes: int  #: on the device, without adapters
    adapters: Adapters | None = None
    blocks: Blocks | None = None  #: in host memory
    parked: Parked | None = None  #: its copies in host memory, once it has left the device

    @property
    def device_bytes(self) -> int:
        return self.num_bytes + (0 if self.adapters is None else self.adapters.num_bytes)

    @property
    def host_bytes(self) -> int:
        """In host memory."""
        return sum(each.host_bytes for each in (self.blocks, self.parked) if each is not None)


class Parts:
    """Modules by part."""

    def __init__(
        self, source: Source, *, precisions: Mapping[Part, str] | None = None, memory: Memory | None = None
    ) -> None:
        self.source, self._memory = source, memory or Memory("cpu")
        known = precisions or {}
        self._wanted = {part: Weights(part=part, digest="", precision=known.get(part, "fp32")) for part in PARTS}
        self._needed: frozenset[Part] = frozenset()
        self._held: dict[Part, _Held] = {}  # the least recently used first
        #: Off the device, and in host memory, by how they are loaded; the first that left first.
        self._parked: dict[object, _Held] = {}
        self._lock = RLock()
        self._report: Report = no_report

    @property
    def transformer(self) -> Any:
        return self._get("transformer")

    @property
    def connectors(self) -> Any:
        return self._get("connectors")

    @property
    def vae(self) -> Any:
        return self._get("video_vae")

    @property
    def audio_vae(self) -> Any:
        return self._get("audio_vae")

    @property
    def vocoder(self) -> Any:
        return self._get("vocoder")

    @property
    def latent_upsampler(self) -> Any:
        return self._get("upscaler")

    @property
    def text_encoder(self) -> Any:
        return self._get("text_encoder")[0]

    @property
    def tokenizer(self) -> Any:
        return self._get("text_encoder")[1]

    @property
    def held(self) -> dict[Part, int]:
        """Bytes on the device of each part that is loaded."""
        return {part: held.device_bytes for part, held in self._held.items()}

    def want(self, weights: Collection[Weights], report: Report = no_report) -> None:
        """The next stage computes with these; what is loaded in another way leaves.

        Args:
            report: called while parts are loaded; may raise to stop it.
        """
        self._report = report  # at once: what is loaded ahead, and waited for, is told to whoever waits
        with self._lock:
            self._want(weights)

    def _want(self, weights: Collection[Weights]) -> None:
        self._needed = frozenset(each.part for each in weights)
        for each in weights:
            held = self._held.get(each.part)
            if held is not None and _loaded_as(held.weights) != _loaded_as(each):
                self._leave(each.part)
            self._wanted[each.part] = each
        self._make_room(0)  # a stage that computes more leaves less for weights

    def ahead(self, weights: Weights) -> None:
        """Load a part before a stage asks for it, unless it is there or its place is taken; stages may compute."""
        with self._lock:
            if weights.part not in self._held and weights.part not in self._needed:
                self._wanted[weights.part] = weights
                self._get(weights.part)

    def close(self) -> None:
        """Let go of everything."""
        for part in list(self._held):
            self._leave(part)
        self._parked.clear()

    def _get(self, part: Part) -> Any:
        with self._lock:
            return self._there(part)

    def _there(self, part: Part) -> Any:
        weights = self._wanted[part]
        held = self._held.pop(part, None)
        if held is None:
            held = self._come_back(weights) or self._load(weights)
        self._held[part] = held  # the last used
        if held.adapters is not None or weights.loras:
            held.adapters = held.adapters or Adapters(_module(held.module), part)
            held.adapters.switch([self.source.lora(lora) for lora in weights.loras if lora.mode == "adapter"])
            self._make_room(0, but=part)
        return held.module

    def _load(self, weights: Weights) -> _Held:
        part, memory = weights.part, self._memory
        needed = self.source.num_bytes(weights)
        streamed = memory.streams(needed + self._beside(part), part=part)
        if streamed:
            self._make_host_room(needed)
        else:
            self._make_room(needed)
        device = "cpu" if streamed else memory.device
        loaded = self.source.load(weights, device=device, compute=memory.device, report=self._tell)
        module = _module(loaded)
        if not streamed:
            return _Held(weights, loaded, _num_bytes(module))
        blocks = blocks_of(part, module)
        num_bytes = device_bytes(module, blocks)
        self._make_room(num_bytes)
        return _Held(weights, loaded, num_bytes, blocks=stream(module, blocks, memory.device, self._tell))

    def _come_back(self, weights: Weights) -> _Held | None:
        """Take a part back from host memory; None = it is not there."""
        held = self._parked.pop(_loaded_as(weights), None)
        if held is not None and held.parked is not None:
            self._make_room(held.num_bytes)
            held.parked.enter(self._memory.device)
        return held

    def _beside(self, part: Part) -> int:
        """Bytes of the other parts of the stage at hand, loaded or not."""
        held, others = self.held, self._needed - {part}
        return sum(held.get(each) or self.source.num_bytes(self._wanted[each]) for each in others)

    def _tell(self, num_bytes: int) -> None:
        """Tell the stage that computes now, or that waits to."""
        self._report(num_bytes)

    def _make_room(self, num_bytes: int, *, but: Part | None = None) -> None:
        """Let parts leave until so much fits beside those that stay; those of the stage at hand last, ``but`` never."""
        limit = self._memory.weights_bytes(self._needed)
        for part in self._by_use():
            if limit is None or sum(self.held.values()) + num_bytes <= limit:
                break
            if part != but:
                self._leave(part)

    def _make_host_room(self, num_bytes: int) -> bool:
        """Let parts that are in host memory leave it until so much fits there; whether it does then."""
        limit = self._memory.host_bytes
        while limit is not None and self._host_bytes + num_bytes > limit:
            if self._parked:
                del self._parked[next(iter(self._parked))]
                continue
            streamed = [part for part in self._by_use() if self._held[part].blocks is not None]
            if not streamed:
                return num_bytes <= limit
            self._leave(streamed[0])
        return True

    @property
    def _host_bytes(self) -> int:
        return sum(held.host_bytes for held in (*self._held.values(), *self._parked.values()))

    def _by_use(self) -> list[Part]:
        """What is held, in the order in which it may leave."""
        return sorted(self._held, key=lambda part: part in self._needed)

    def _leave(self, part: Part) -> None:
        held = self._held.pop(part, None)
        if held is None:
            return
        if held.adapters is not None:
            held.adapters.switch(())
        if held.blocks is not None:
            held.blocks.close()
        elif self._memory.parks:
            self._park(held)
        del held
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.accelerator.empty_host_cache()  # pinned memory of blocks

    def _park(self, held: _Held) -> None:
        """Keep a part in host memory, if that has room for it."""
        if held.parked is not None:
            held.parked.leave()
        elif self._make_host_room(held.num_bytes):
            held.parked = Parked(_module(held.module))
        else:
            return
        self._parked[_loaded_as(held.weights)] = held


def _loaded_as(weights: Weights) -> object:
    """What cannot be changed in place."""
    return weights.part, weights.digest, weights.precision, tuple(lora for lora in weights.loras if lora.mode == "fold")


def _module(loaded: Any) -> torch.nn.Module:
    """The module of what a source gives."""
    module: Any = loaded[0] if isinstance(loaded, tuple) else loaded
    module = module if isinstance(module, torch.nn.Module) else module.model
    assert isinstance(module, torch.nn.Module)
    return module


def _num_bytes(module: torch.nn.Module) -> int:
    return sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))
