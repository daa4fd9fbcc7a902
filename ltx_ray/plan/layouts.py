"""What one card can hold: the ways to put stages on it, each with its memory, its speed and what it has to load.

A layout is one process with a set of stages, or two that share the card: one that samples, and beside it one that
decodes, so that no segment waits while its card decodes. Stages are put on a card by groups, because those of a group
share their parts or cost next to nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import product

from ltx_ray.plan.work import Load, Work
from ltx_ray.spec.cards import Speed
from ltx_ray.spec.machine import Budget, Offload
from ltx_ray.spec.stages import SPECS, Group, Stage
from ltx_ray.spec.weights import Part, Weights

GIB = 1 << 30


def of_group(group: Group) -> tuple[Stage, ...]:
    """Its stages, in their order."""
    return tuple(stage for stage, spec in SPECS.items() if spec.group == group)


TEXT, SAMPLE, MIDDLE, DECODE = of_group("text"), of_group("sample"), of_group("middle"), of_group("decode")
GROUPS: tuple[tuple[Stage, ...], ...] = (TEXT, SAMPLE, MIDDLE, DECODE)

#: Of a card, for every process that computes there: the driver's context and the workspaces of its libraries.
CONTEXT_BYTES = GIB * 3 // 4
#: What is computed takes so much more than its tensors: pieces of memory between them, and what accounting misses.
FRAGMENTS = 1.10
#: Blocks of a part that are on the device at a time (``models.ltx2.offload``).
SLOTS = 2
#: Bytes a second from pinned host memory to a card, and from a store of weights into it.
HOST_BPS, DISK_BPS = 20e9, 1.5e9
#: Of what is computed, what is lost though blocks come faster than they are needed.
BEHIND = 0.03
#: Of the tasks that could make a process change its parts, so many do: a worker first takes what needs what it holds.
CHANGES = 0.5

MODES: tuple[Offload, ...] = ("none", "swap", "block")


@dataclass(frozen=True, slots=True)
class Card:
    """A device as layouts see it. Cards that are equal are interchangeable."""

    room_bytes: int | None  #: that may be used; None = not known, and then everything fits
    speed: Speed
    host_bytes: int | None  #: of host memory, for what leaves the device; None = no limit
    stages: frozenset[Stage]  #: that may be put on it
    modes: tuple[Offload, ...] = MODES

    def seconds(self, work: Work, stage: Stage) -> float:
        """Of all tasks of a stage, here: convolutions wait for memory, the transformer and the text encoder do not."""
        each = work.stages[stage]
        return each.seconds / (self.speed.computes if stage in (*TEXT, *SAMPLE) else self.speed.reads)


@dataclass(frozen=True, slots=True)
class Holding:
    """One process of a layout."""

    stages: frozenset[Stage]
    offload: Offload
    peak_bytes: int
    parts: tuple[Weights, ...]
    streamed: tuple[Weights, ...]  #: of them, those whose blocks stay in host memory
    load_bytes: int
    beside: tuple[tuple[frozenset[Part], int], ...]  #: as in its budget

    def budget(self, card: Card, spare_bytes: int) -> Budget | None:
        """None where nothing is known of the card."""
        if card.room_bytes is None:
            return None
        return Budget(
            cap_bytes=self.peak_bytes + spare_bytes,
            own_bytes=CONTEXT_BYTES,
            beside=self.beside,
            offload=self.offload,
            streamed=tuple(dict.fromkeys(each.part for each in self.streamed)),
            host_bytes=card.host_bytes,
        )


@dataclass(frozen=True, slots=True)
class Layout:
    """Processes on one card; without any the card is left free."""

    holdings: tuple[Holding, ...] = ()
    speed: float = 0.0  #: of the card with what they do, in that of the reference; weights on their way included

    @property
    def stages(self) -> frozenset[Stage]:
        return frozenset[Stage]().union(*(holding.stages for holding in self.holdings))

    @property
    def load_bytes(self) -> int:
        return sum(holding.load_bytes for holding in self.holdings)

    @property
    def load_s(self) -> float:
        """Until all that it holds is there."""
        return self.load_bytes / DISK_BPS

    @property
    def peak_bytes(self) -> int:
        return sum(holding.peak_bytes for holding in self.holdings)

    @property
    def waits(self) -> bool:
        """Whether segments wait while their card decodes."""
        return any(not holding.stages.isdisjoint(SAMPLE) and holding.stages & set(DECODE) for holding in self.holdings)


def layouts(card: Card, work: Work) -> list[Layout]:
    """Every way to use a card for this work, leaving it free included."""
    groups = [frozenset(stage for stage in group if stage in card.stages and stage in work.stages) for group in GROUPS]
    text, sample, middle, decode = groups
    found = [Layout()]
    for with_text, core, decodes in product((False, True), ((), middle, sample | middle), ("", "same", "beside")):
        first = frozenset(core) | (text if with_text else frozenset())
        if (with_text and not text) or (decodes and not decode) or (decodes == "beside" and not first & sample):
            continue
        beside = decode if decodes == "beside" else frozenset[Stage]()
        first |= decode if decodes == "same" else frozenset()
        if first and (layout := _layout(card, work, first, beside)) is not None and layout not in found:
            found.append(layout)
    return found


def _layout(card: Card, work: Work, first: frozenset[Stage], beside: frozenset[Stage]) -> Layout | None:
    """The fastest way to hold both sets; None = they do not fit."""
    decoding = _held(work, beside, "none") if beside else None
    room = card.room_bytes
    if room is not None and decoding is not None:
        room -= decoding.peak_bytes
    ways = [held(work, first, mode, room, card.host_bytes) for mode in card.modes]
    takes_s = {way: _takes_s(work, way, card) for way in ways if way is not None}
    if not takes_s:
        return None
    best = min(takes_s, key=takes_s.__getitem__)  # the first of equals
    both = (best,) if decoding is None else (best, decoding)
    seconds = sum(work.stages[stage].seconds for holding in both for stage in holding.stages)
    return Layout(both, seconds / sum(_takes_s(work, holding, card) for holding in both) if seconds else 1.0)


def slowness(work: Work, holding: Holding, card: Card) -> float:
    """How many times longer tasks take in a process than where all its parts stay on the card."""
    stages = _ordered(holding.stages, work)
    computing_s = sum(card.seconds(work, stage) for stage in stages)
    if holding.offload == "none" or not computing_s:
        return 1.0
    return 1.0 + sum(_waiting_s(work, stage, holding, card) for stage in stages) / computing_s


def held(
    work: Work, stages: frozenset[Stage], mode: Offload, room_bytes: int | None, host_bytes: int | None = None
) -> Holding | None:
    """``stages`` in one process; None = they do not fit into the room so."""
    holding = _held(work, stages, mode, room_bytes)
    if room_bytes is None:
        return holding if mode == "none" else None
    if holding.peak_bytes > room_bytes:
        return None
    if mode == "block" and host_bytes is not None and _largest_blocks(work, stages) > host_bytes:
        return None
    return holding


def _held(work: Work, stages: frozenset[Stage], mode: Offload, room_bytes: int | None = None) -> Holding:
    loads = [load for stage in _ordered(stages, work) for load in work.stages[stage].loads]
    parts = tuple(dict.fromkeys(part for load in loads for part in load.parts))
    beside: dict[frozenset[Part], int] = {}
    for load in loads:
        kinds = frozenset(each.part for each in load.parts)
        beside[kinds] = max(beside.get(kinds, 0), int(load.activation_bytes * FRAGMENTS))
    besides = [beside[frozenset(each.part for each in load.parts)] for load in loads]
    total = sum(work.sizes[part].num_bytes for part in parts)
    room = 0 if room_bytes is None else room_bytes - CONTEXT_BYTES
    both = list(zip(loads, besides, strict=True))
    streamed = _streamed(work, both, room) if mode == "block" else ()
    if mode == "none":
        needed = total + max(besides, default=0)
    else:
        needed = max((_needed(work, load, streamed, room - each) + each for load, each in both), default=0)
    return Holding(stages, mode, CONTEXT_BYTES + needed, parts, streamed, total, tuple(beside.items()))


def _streamed(work: Work, loads: Sequence[tuple[Load, int]], room: int) -> tuple[Weights, ...]:
    """Parts that do not fit, in one of these loads at least: their blocks pass over the card in all of them."""
    return tuple(
        dict.fromkeys(
            part
            for load, beside in loads
            if _num_bytes(work, load) + beside > room
            for part in load.parts
            if work.sizes[part].block_bytes
        )
    )


def _needed(work: Work, load: Load, streamed: Collection[Weights], room: int) -> int:
    """Bytes of its parts while a task computes with ``load`` and nothing else is on the device."""
    sizes = [
        work.sizes[part].streamed(SLOTS) if part in streamed else work.sizes[part].num_bytes for part in load.parts
    ]
    # A stage uses its parts one after another, so one may leave for the next, which costs time.
    return sum(sizes) if not streamed or sum(sizes) <= room else max(sizes)


def least_bytes(work: Work, stage: Stage, mode: Offload) -> int:
    """What a card must have, at least, for a process of this stage alone."""
    return _held(work, frozenset({stage}), mode).peak_bytes


def _num_bytes(work: Work, load: Load) -> int:
    return sum(work.sizes[part].num_bytes for part in load.parts)


def _largest_blocks(work: Work, stages: frozenset[Stage]) -> int:
    """Bytes of the largest part whose blocks may have to stay in host memory."""
    loads = (load for stage in stages if stage in work.stages for load in work.stages[stage].loads)
    sizes = (work.sizes[part] for load in loads for part in load.parts)
    return max((size.num_bytes for size in sizes if size.block_bytes), default=0)


def _takes_s(work: Work, holding: Holding, card: Card) -> float:
    """Seconds of the card for all that the process could do of the work."""
    stages = _ordered(holding.stages, work)
    takes_s = sum(card.seconds(work, stage) for stage in stages)
    if holding.offload != "none":
        takes_s += sum(_waiting_s(work, stage, holding, card) for stage in stages)
    if holding.stages & set(SAMPLE):  # what samples could go on while an encoder works
        takes_s += sum(max(0.0, work.stages[stage].host_s - card.seconds(work, stage)) for stage in stages)
    return takes_s


def _waiting_s(work: Work, stage: Stage, holding: Holding, card: Card) -> float:
    """Seconds in which all tasks of a stage wait for parts, or for blocks of them, to come from host memory."""
    each = work.stages[stage]
    transfer_s = max((_num_bytes(work, load) for load in each.loads), default=0) / HOST_BPS
    if each.num_passes and any(part in holding.streamed for load in each.loads for part in load.parts):
        computing_s = card.seconds(work, stage)
        return max(BEHIND * computing_s, each.num_passes * transfer_s - computing_s)
    return transfer_s * (1.0 if stage in TEXT else CHANGES * each.num_tasks)


def _ordered(stages: frozenset[Stage], work: Work) -> Sequence[Stage]:
    return [stage for stage in work.stages if stage in stages]
