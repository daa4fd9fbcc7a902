"""The cards that a run holds: a placement group of one bundle for each, and which card it turned out to be.

Ray cannot be asked for a particular card of a machine. So a bundle is taken for every one that is free, a process in
each looks at its card, and what nobody needs is given back. Workers of a card share its bundle, and one that dies comes
up on the same card again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group

from ltx_ray.spec.machine import Device, Node

#: A machine's cards are waited for so long; when some have answered, the others only this long after the last one.
WAIT_S, REST_S = 60.0, 10.0
#: Of a card, for the process that looks at it; the workers that follow share all of it.
LOOK_SHARE = 0.001

#: What looks at the one card of its process; None = nothing is known of it.
Look = Callable[[], Device | None]


def card_here() -> Device | None:
    """The one card that Ray gave to this process; None = there is no driver that could tell."""
    from ltx_ray.worker.devices import devices_here

    return next(iter(devices_here()), None)


@dataclass(slots=True)
class _Taken:
    """The bundles of one machine."""

    node: Node
    began_at: float
    asked: dict[ray.ObjectRef[Any], PlacementGroup]
    #: By the card's uuid, or the name it is given where nobody knows it.
    cards: dict[str, tuple[Device, PlacementGroup]] = field(default_factory=dict)
    last_at: float = 0.0
    is_told: bool = False

    def note(self, group: PlacementGroup, device: Device | None, now: float) -> None:
        name = f"card {len(self.cards)}"
        device = device or Device(name="", memory_bytes=0)
        device = device if device.uuid else replace(device, uuid=name)
        self.cards[device.uuid] = device, group
        self.last_at = now

    def is_due(self, now: float) -> bool:
        """Whether all cards that will come have come."""
        waited_s = now - self.began_at
        return not self.asked or waited_s > WAIT_S or (bool(self.cards) and now - self.last_at > REST_S)


class Seats:
    """By machine, the cards held there. Its methods talk to the head: nobody calls them while that is silent."""

    def __init__(self, look: Look = card_here) -> None:
        remote: Any = ray.remote
        self._look = remote(num_cpus=0, num_gpus=LOOK_SHARE, max_retries=0)(look)
        self._taken: dict[str, _Taken] = {}

    @property
    def is_waiting(self) -> bool:
        """Whether cards of some machine are not known yet."""
        return any(not taken.is_told for taken in self._taken.values())

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._taken))

    def take(self, node: Node) -> None:
        """Ask for a bundle for every card of a machine."""
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        asked: dict[ray.ObjectRef[Any], PlacementGroup] = {}
        for _ in range(node.num_gpus):
            group = placement_group([{"GPU": 1}], bundle_label_selector=[{"ray.io/node-id": node.node}])
            strategy = PlacementGroupSchedulingStrategy(group, 0)
            asked[self._look.options(scheduling_strategy=strategy).remote()] = group
        self._taken[node.node] = _Taken(node, time.monotonic(), asked)

    def come(self) -> list[Node]:
        """Machines whose cards are all known since the last call, with these; what did not come is given up."""
        now = time.monotonic()
        came = []
        for taken in self._taken.values():
            if taken.is_told:
                continue
            self._hear(taken, now)
            if taken.is_due(now):
                for ref, group in taken.asked.items():
                    ray.cancel(ref)
                    remove_placement_group(group)
                taken.asked, taken.is_told = {}, True
                devices = tuple(taken.cards[uuid][0] for uuid in sorted(taken.cards))
                came.append(replace(taken.node, num_gpus=len(devices), devices=devices))
        return came

    def group(self, node: str, device: str) -> PlacementGroup | None:
        """Where the workers of a card go; None = it is not held."""
        taken = self._taken.get(node)
        card = None if taken is None else taken.cards.get(device)
        return None if card is None else card[1]

    def keep(self, node: str, devices: Collection[str]) -> None:
        """Give back the cards of a machine that are none of these."""
        if node not in self._taken:
            return
        cards = self._taken[node].cards
        for device in cards.keys() - set(devices):
            remove_placement_group(cards.pop(device)[1])

    def forget(self, nodes: Collection[str]) -> None:
        """These machines are gone, or nothing of theirs is wanted."""
        for node in nodes:
            taken = self._taken.pop(node, None)
            for group in (
                () if taken is None else (*taken.asked.values(), *(group for _, group in taken.cards.values()))
            ):
                with suppress(ray.exceptions.RayError):
                    remove_placement_group(group)

    def close(self) -> None:
        """Give back all."""
        self.forget(list(self._taken))

    @staticmethod
    def _hear(taken: _Taken, now: float) -> None:
        refs = list(taken.asked)
        answered, _ = ray.wait(refs, num_returns=len(refs), timeout=0) if refs else ([], [])
        for ref in answered:
            group = taken.asked.pop(ref)
            try:
                taken.note(group, ray.get(ref), now)
            except ray.exceptions.RayError:  # its card cannot even be looked at
                remove_placement_group(group)
