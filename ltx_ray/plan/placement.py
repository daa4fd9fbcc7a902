"""Which workers to start and what each holds, from what the machines have and what a plan asks for. Pure.

Cards come first: of all ways to lay out the stages on them, the one with the least predicted makespan; among equals the
one where no segment waits while its card decodes, then the one that loads least. A machine's files get a worker on its
cores. Cores alone compute what no card can hold only where there is no card at all; a head that is kept free gets
nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import nsmallest
from itertools import combinations_with_replacement, product
from typing import NamedTuple

from ltx_ray.errors import DoesNotFit
from ltx_ray.plan.layouts import GIB, GROUPS, MODES, SAMPLE, Card, Holding, Layout, held, layouts, least_bytes, slowness
from ltx_ray.plan.work import LITTLE, Work
from ltx_ray.spec.cards import Speed, speed_of
from ltx_ray.spec.machine import Device, Node, Offload, WorkerSpec
from ltx_ray.spec.stages import SPECS, STAGES, Stage
from ltx_ray.spec.task import Task

ALL_STAGES: frozenset[Stage] = frozenset(STAGES)
#: Stages that never touch a GPU; a GPU node gets one worker for them beside its GPU workers.
FILE_STAGES: frozenset[Stage] = frozenset(stage for stage, spec in SPECS.items() if spec.device != "gpu")
GPU_STAGES = ALL_STAGES - FILE_STAGES

#: Of a machine's memory for parts that leave its cards; the rest is for Ray's objects, loaders and encoders.
HOST_SHARE = 0.6
#: So many ways to lay out the cards are all looked at; of more, those that are reached by one change after another.
MAX_WAYS = 5_000
#: Others wait for a slow card no longer than for this part of the makespan.
PATIENCE = 0.15
#: How much longer a plan takes where a group fills all the cards that it may use, and these are not all cards. By
#: simulation of long and short videos on 2 to 16 cards.
UNEVEN = 0.1
#: Cards beyond those that a plan keeps busy, because parts load faster on several.
SPARE_CARDS = 2
#: Makespans that differ by less than a fraction of a second are equal.
SECONDS_DIGITS = 6
#: What a share of a card is called to Ray: processes of one card divide it evenly.
SHARE_DIGITS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a user says of where stages go; none of it changes a byte of the result."""

    max_workers: int | None = None  #: None = as many as are of use
    reserve_bytes: int = 0  #: kept free on every card
    offload: Offload = "auto"
    #: Where a stage may go: parts of the name of a card or a machine. A stage not named may go anywhere.
    stages_on: Mapping[Stage, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Placement:
    """Workers, and how long the plan takes with them at least."""

    workers: tuple[WorkerSpec, ...]
    makespan_s: float | None = None  #: None = nothing is known of the devices


#: How many cards of a kind get a layout.
Chosen = Counter[tuple[Card, Layout]]


class _Seat(NamedTuple):
    """A card of a machine."""

    node_idx: int
    gpu_idx: int
    device: Device


def place(nodes: Sequence[Node], work: Work, wishes: Wishes | None = None) -> Placement:
    """Workers for ``work``: the first of ``placements``."""
    return placements(nodes, work, wishes)[0]


def placements(nodes: Sequence[Node], work: Work, wishes: Wishes | None = None, *, most: int = 1) -> list[Placement]:
    """The most promising ways to place ``work``, the best by prediction first, never none.

    Raises:
        DoesNotFit: there is nothing to run on, or a stage fits on none of the cards.
    """
    wishes = wishes or Wishes()
    seats = [
        _Seat(node_idx, gpu_idx, device)
        for node_idx, node in enumerate(nodes)
        for gpu_idx, device in enumerate(node.devices or _unknown(node))
    ]
    if seats:
        return _on_cards(nodes, seats, work, wishes, most)
    specs = [
        WorkerSpec(name=f"cpu{node_idx}.{core_idx}", node=node.node, stages=ALL_STAGES)
        for node_idx, node in enumerate(nodes)
        for core_idx in range(node.num_cpus)
    ]
    if not specs:
        raise DoesNotFit("cluster: no node offers a core or a GPU; start one with `ray start`, or leave --address out")
    return [Placement(tuple(_spread(specs, min(wishes.max_workers or len(specs), max(1, work.num_tasks)))))]


def _unknown(node: Node) -> list[Device]:
    """Cards of a machine at which nobody could look: as many as Ray counts."""
    return [Device(name="", memory_bytes=0)] * node.num_gpus


def _on_cards(nodes: Sequence[Node], seats: Sequence[_Seat], work: Work, wishes: Wishes, most: int) -> list[Placement]:
    asked = Work(stages={stage: each for stage, each in work.stages.items() if stage in GPU_STAGES}, sizes=work.sizes)
    cards = [_card(nodes[seat.node_idx], seat.device, wishes) for seat in seats]
    _check_fits(nodes, seats, cards, asked, wishes)
    found: list[Placement] = []
    patient = _without_slow(cards, asked)
    # A slow card may still be of use for few tasks, which a prediction does not see.
    for each in [patient] if most == 1 or patient == cards else [patient, cards]:
        known = {card: layouts(card, asked) for card in dict.fromkeys(each)}
        for chosen in _search(each, known, asked, wishes.max_workers, most):
            if math.isfinite(predicted_s := makespan_s(chosen, asked)):
                found.append(Placement(_assigned(nodes, seats, each, chosen, asked), predicted_s))
    if not found:
        raise DoesNotFit(
            f"--offload {wishes.offload}: the cards can hold each stage alone, and not all of them together; "
            "without the option parts take turns"
        )
    return found


def _assigned(
    nodes: Sequence[Node], seats: Sequence[_Seat], cards: Sequence[Card], chosen: Chosen, work: Work
) -> tuple[WorkerSpec, ...]:
    """Layouts are the same for equal cards; the first machines get the first ones."""
    left: dict[Card, list[Layout]] = {card: [] for card in cards}
    for (card, layout), count in chosen.items():
        left[card] += [layout] * count
    for each in left.values():
        each.sort(key=lambda layout: (-len(layout.stages), layout.waits))
    workers: list[WorkerSpec] = []
    for seat, card in sorted(zip(seats, cards, strict=True), key=lambda pair: (pair[0].gpu_idx, pair[0].node_idx)):
        workers += _workers(nodes[seat.node_idx], seat, card, left[card].pop(0), work)
    used = {worker.node for worker in workers}
    for node_idx, node in enumerate(nodes):
        if node.node in used or (not (node.devices or node.num_gpus) and node.num_cpus):
            workers.append(WorkerSpec(name=f"cpu{node_idx}.0", node=node.node, stages=FILE_STAGES, why="files"))
    return tuple(workers)


def _card(node: Node, device: Device, wishes: Wishes) -> Card:
    names = (device.name.lower(), node.node.lower(), node.name.lower())
    stages = frozenset(
        stage
        for stage in GPU_STAGES
        if stage not in wishes.stages_on or any(wishes.stages_on[stage].lower() in name for name in names)
    )
    if not device.memory_bytes:
        return Card(None, Speed(1.0, 1.0), None, stages)
    room = min(device.memory_bytes, device.free_bytes or device.memory_bytes) - wishes.reserve_bytes
    num_cards = max(1, len(node.devices))
    host = None if node.memory_bytes is None else int(HOST_SHARE * node.memory_bytes / num_cards)
    modes = MODES if wishes.offload == "auto" else (wishes.offload,)
    return Card(max(0, room), speed_of(device.name), host, stages, modes)


def _without_slow(cards: Sequence[Card], work: Work) -> list[Card]:
    """The cards, without the stages for which they are so slow that the others would wait for one of their tasks."""
    fastest_s = {
        stage: min(card.seconds(work, stage) for card in set(cards) if _can_hold(card, work, stage))
        for stage in work.stages
    }
    whole_s = sum(each.seconds for each in work.stages.values()) / sum(card.speed.computes for card in cards)
    chain_s = sum(each.chain_s / each.seconds * fastest_s[stage] for stage, each in work.stages.items() if each.seconds)
    limit_s = PATIENCE * max(whole_s, chain_s)

    def is_bearable(stage: Stage, card: Card) -> bool:
        each = work.stages.get(stage)
        if each is None or not each.seconds:
            return True
        part = max(each.chain_s / each.seconds, 1 / each.num_tasks)
        return part * (card.seconds(work, stage) - fastest_s[stage]) <= limit_s

    return [replace(card, stages=frozenset(s for s in card.stages if is_bearable(s, card))) for card in cards]


def _can_hold(card: Card, work: Work, stage: Stage) -> bool:
    if stage not in card.stages:
        return False
    return any(held(work, frozenset({stage}), mode, card.room_bytes, card.host_bytes) for mode in card.modes)


def _check_fits(
    nodes: Sequence[Node], seats: Sequence[_Seat], cards: Sequence[Card], work: Work, wishes: Wishes
) -> None:
    """Raise DoesNotFit unless some card can hold every stage that has work."""
    for stage in work.stages:
        if any(_can_hold(card, work, stage) for card in cards):
            continue
        allowed = {card: seat for seat, card in zip(seats, cards, strict=True) if stage in card.stages}
        if not allowed:
            wanted = wishes.stages_on[stage]
            names = ", ".join(dict.fromkeys(f"{seat.device.name} on {_name(nodes[seat.node_idx])}" for seat in seats))
            raise DoesNotFit(f"--stages-on: {stage}={wanted} names no card of this cluster; there are {names}")
        largest = max(allowed, key=lambda card: card.room_bytes or 0)
        seat = allowed[largest]
        where = f"{seat.device.name} on {_name(nodes[seat.node_idx])}"
        raise DoesNotFit(f"{stage}: {_why_not(work, stage, largest, where)}")


def _why_not(work: Work, stage: Stage, card: Card, where: str) -> str:
    """Why a stage does not fit on the largest card, and the nearest change with which it does."""
    needed = {mode: least_bytes(work, stage, mode) for mode in MODES}
    room, asked = card.room_bytes or 0, min(needed[mode] for mode in card.modes)
    if asked <= room:
        return (
            f"its weights do not fit on {where}, which has {_gib(room)} GiB, nor into the {_gib(card.host_bytes or 0)} "
            "GiB that a card may use of its machine's memory; fp8 or a quantised file, or more memory, would do"
        )
    beside = max(load.activation_bytes for load in work.stages[stage].loads)
    said = (
        f"takes {_gib(asked)} GiB of a card, {_gib(beside)} of it for what is computed, and the largest, {where}, has "
        f"{_gib(room)}"
    )
    return f"{said}; {_nearest(stage, needed, card, beside)}"


def _nearest(stage: Stage, needed: Mapping[Offload, int], card: Card, beside: int) -> str:
    """The nearest change with which the stage fits."""
    room = card.room_bytes or 0
    for mode in MODES:
        if mode not in card.modes and needed[mode] <= room:
            return f"--offload {mode} takes {_gib(needed[mode])}"
    fixed = needed["block"] - beside
    if stage in SAMPLE and fixed < room:
        return f"fewer pixels or frames fit, about {100 * (room - fixed) // beside} % of them in one segment"
    if fixed < room:
        return f"a smaller picture fits, of about {100 * (room - fixed) // beside} % of its pixels"
    return "precision: fp8, or a quantised file, takes less"


def _gib(num_bytes: float) -> str:
    return f"{num_bytes / GIB:.1f}"


def _name(node: Node) -> str:
    return node.name or node.node


def makespan_s(chosen: Mapping[tuple[Card, Layout], int], work: Work) -> float:
    """Seconds that ``work`` takes with these layouts, infinite where a stage has no place.

    The longest chain has to pass on the fastest cards, and no set of stages is done before the cards that hold any of
    them have computed it: where every such bound is met work can be divided so that all are busy until the end. It
    cannot be divided as finely as that, and the less so the fewer cards a group has for its share.
    """
    groups = [frozenset(stage for stage in group if stage in work.stages) for group in GROUPS]
    groups = [group for group in groups if group]
    chain_s = 0.0
    for stage, each in work.stages.items():
        fastest = max((layout.speed for (_, layout), n in chosen.items() if n and stage in layout.stages), default=0.0)
        if not fastest:
            return math.inf
        chain_s += each.chain_s / fastest
    first_load_s = min((layout.load_s for (_, layout), n in chosen.items() if n and layout.holdings), default=0.0)
    bound_s = chain_s + first_load_s
    for mask in range(1, 1 << len(groups)):
        stages = frozenset[Stage]().union(*(group for idx, group in enumerate(groups) if mask >> idx & 1))
        able = [(layout, n) for (_, layout), n in chosen.items() if n and not stages.isdisjoint(layout.stages)]
        bound_s = max(bound_s, _busy_s(able, sum(work.stages[stage].seconds for stage in stages), work.width))
    return bound_s * (1.0 + UNEVEN * sum(_crowding(chosen, work, group) for group in groups))


def _crowding(chosen: Mapping[tuple[Card, Layout], int], work: Work, group: frozenset[Stage]) -> float:
    """How far a group fills the cards that may compute it, times the share of the others; 0 where it fills little."""
    if work.width == 1:
        return 0.0  # one card works at a time
    used = [(layout, n) for (_, layout), n in chosen.items() if n and layout.holdings]
    speed = sum(layout.speed * n for layout, n in used)
    able = sum(layout.speed * n for layout, n in used if not group.isdisjoint(layout.stages))
    if able >= speed:
        return 0.0
    share = sum(work.stages[stage].seconds for stage in group) / sum(each.seconds for each in work.stages.values())
    filled = min(1.0, share * speed / able)
    return filled * (1.0 - able / speed) if filled > LITTLE else 0.0


def _busy_s(able: Sequence[tuple[Layout, int]], seconds: float, width: int) -> float:
    """How long the cards of these layouts are busy with so much work, once each has loaded what it holds."""
    speed, loading, left = 0.0, 0.0, width
    for layout, count in sorted(able, key=lambda pair: (-pair[0].speed, pair[0].load_s)):
        used = min(left, count)
        speed, loading, left = speed + layout.speed * used, loading + layout.speed * layout.load_s * used, left - used
    return (seconds + loading) / speed


def _search(
    cards: Sequence[Card], known: Mapping[Card, Sequence[Layout]], work: Work, max_workers: int | None, most: int
) -> list[Chosen]:
    """The best layouts of all cards, at most so many."""
    counts = Counter(cards)
    ways = math.prod(math.comb(count + len(known[card]) - 1, count) for card, count in counts.items())
    if ways <= MAX_WAYS:
        each = [
            [[(card, layout) for layout in chosen] for chosen in combinations_with_replacement(known[card], count)]
            for card, count in counts.items()
        ]
        every = (Counter(pair for chosen in combination for pair in chosen) for combination in product(*each))
        return nsmallest(most, every, key=lambda chosen: _worth(chosen, work, max_workers))
    starts = product(*([(card, layout) for layout in known[card]] for card in counts))
    uniform = (Counter({(card, layout): counts[card] for card, layout in start}) for start in starts)
    best = nsmallest(most, uniform, key=lambda chosen: _worth(chosen, work, max_workers))
    return [_climb(best[0], known, work, max_workers), *best[: most - 1]]


def _climb(chosen: Chosen, known: Mapping[Card, Sequence[Layout]], work: Work, max_workers: int | None) -> Chosen:
    """Change one card, or all alike, as long as that is better."""
    while True:
        others = []
        for (card, layout), count in chosen.items():
            for other in known[card]:
                for moved in {1, count} if other != layout else ():
                    changed = Counter(chosen)
                    changed[card, layout] -= moved
                    changed[card, other] += moved
                    others.append(+changed)
        better = min(others, key=lambda other: _worth(other, work, max_workers), default=chosen)
        if _worth(better, work, max_workers) >= _worth(chosen, work, max_workers):
            return chosen
        chosen = better


class _Worth(NamedTuple):
    """Smaller is better."""

    is_impossible: bool  #: a stage has no place
    num_over: int  #: workers more than are allowed
    num_idle: int  #: cards more than the plan keeps busy
    makespan_s: float
    num_waiting: int
    load_bytes: int


def _worth(chosen: Chosen, work: Work, max_workers: int | None) -> _Worth:
    num_workers = sum(len(layout.holdings) * count for (_, layout), count in chosen.items())
    num_cards = sum(count for (_, layout), count in chosen.items() if layout.holdings)
    seconds = makespan_s(chosen, work)
    return _Worth(
        math.isinf(seconds),
        0 if max_workers is None else max(0, num_workers - max_workers),
        max(0, num_cards - work.width - SPARE_CARDS),
        round(seconds, SECONDS_DIGITS),
        sum(layout.waits * count for (_, layout), count in chosen.items()),
        sum(layout.load_bytes * count for (_, layout), count in chosen.items()),
    )


def _workers(node: Node, seat: _Seat, card: Card, layout: Layout, work: Work) -> Iterator[WorkerSpec]:
    """What stands on a card; what nobody needs of it is shared out, so that a guess too low kills nobody."""
    spare = max(0, (card.room_bytes or 0) - layout.peak_bytes) / max(1, layout.peak_bytes)
    for idx, holding in enumerate(layout.holdings):
        yield WorkerSpec(
            slowness=round(slowness(work, holding, card), 3),
            name=f"gpu{seat.node_idx}.{seat.gpu_idx}{'d' if idx else ''}",
            node=node.node,
            stages=holding.stages,
            num_gpus=round(1 / len(layout.holdings), SHARE_DIGITS),
            device=seat.device.uuid,
            card=seat.device.name,
            budget=holding.budget(card, int(spare * holding.peak_bytes)),
            peak_bytes=holding.peak_bytes,
            parts=holding.parts,
            why=_why(layout, holding, card),
        )


def _why(layout: Layout, holding: Holding, card: Card) -> str:
    """For people: how it holds what it needs, and why it stands where it stands."""
    told = {
        "none": "all its parts stay on the card",
        "swap": "its parts do not fit together, and take turns",
        "block": "a part does not fit beside what is computed, and its blocks pass over the card",
    }[holding.offload]
    if card.room_bytes is None:
        told = "nothing is known of its card"
    if len(layout.holdings) == 1:
        return told
    beside = "decodes beside what samples" if holding.stages.isdisjoint(SAMPLE) else "another decodes beside it"
    return f"{told}; {beside}"


def useful_workers(tasks: Mapping[str, Task], seconds: Mapping[Stage, float], *, gpu_only: bool) -> int:
    """How many workers these tasks keep busy: their work over their longest chain, because more only wait.

    Args:
        tasks: by key, parents before children; a parent that is not among them is there already.
        gpu_only: count the work of stages that compute on a GPU alone.
    """
    ends_s: dict[str, float] = {}
    work_s = 0.0
    for key, task in tasks.items():
        own_s = seconds[task.stage]
        ends_s[key] = own_s + max((ends_s.get(parent.key, 0.0) for parent in task.parents), default=0.0)
        work_s += own_s if task.stage not in FILE_STAGES or not gpu_only else 0.0
    longest_s = max(ends_s.values(), default=0.0)
    return max(1, min(len(tasks), math.ceil(work_s / longest_s))) if longest_s else min(1, len(tasks))


def _spread(specs: list[WorkerSpec], num_workers: int) -> list[WorkerSpec]:
    """``num_workers`` of ``specs``, the first of every node before the second of any."""
    rank = {spec.name: sum(other.node == spec.node for other in specs[:idx]) for idx, spec in enumerate(specs)}
    return sorted(specs, key=lambda spec: rank[spec.name])[:num_workers]
