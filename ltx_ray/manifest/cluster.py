"""A cluster as a file describes it, so that one can be planned for that is not there yet.

nodes:
  - {name: a, cpus: 64, memory_gib: 512, devices: [{name: NVIDIA H100 80GB HBM3, count: 8}]}
  - {name: b, cpus: 16, memory_gib: 64, count: 4, devices: [{name: NVIDIA L4}]}
prices: {H100: 2.49, L4: 0.71}       # of a card for an hour, by a part of its name, in any currency
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ltx_ray.manifest.files import name_of, read_text
from ltx_ray.manifest.problems import nearest, refuse, shown
from ltx_ray.manifest.safe_yaml import parse_yaml
from ltx_ray.spec.cards import card_of
from ltx_ray.spec.machine import Device, Node

GIB = 1 << 30
MAX_COUNT, MAX_CPUS, MAX_GIB, MAX_PRICE = 10_000, 4096, 65_536.0, 1e6

_TOP = ("nodes", "prices")
_NODE = ("name", "cpus", "memory_gib", "count", "devices")
_DEVICE = ("name", "memory_gib", "count")


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a file says of machines, and of what their cards cost."""

    nodes: tuple[Node, ...]
    #: Of a card for an hour, by a part of its name.
    prices: Mapping[str, float] = field(default_factory=dict)


def read_cluster(source: str) -> Cluster:
    """The cluster that a YAML file describes.

    Raises:
        ManifestError: it cannot be read, or says something that is no cluster.
    """
    where = name_of(source)
    tree = _mapping(where, parse_yaml(read_text(source), name=where), _TOP)
    entries = tree.get("nodes")
    if not isinstance(entries, list) or not entries:
        raise refuse(f"{where}: nodes", f"is {shown(entries)}, not a list of machines with at least one")
    nodes = tuple(node for idx, entry in enumerate(entries) for node in _nodes(f"{where}: nodes[{idx}]", entry, idx))
    if twice := next((node.node for node in nodes if sum(other.node == node.node for other in nodes) > 1), None):
        raise refuse(f"{where}: nodes", f"{twice} is the name of two machines; give each its own")
    return Cluster(nodes, _prices(f"{where}: prices", tree.get("prices", {})))


def _nodes(where: str, entry: object, idx: int) -> Iterator[Node]:
    told = _mapping(where, entry, _NODE)
    name = told.get("name", f"node{idx}")
    if not isinstance(name, str) or not name:
        raise refuse(f"{where}.name", f"is {shown(name)}, not the name of a machine")
    cpus = int(_number(f"{where}.cpus", told.get("cpus", 0), 0, MAX_CPUS, whole=True))
    memory = told.get("memory_gib")
    memory_bytes = None if memory is None else int(_number(f"{where}.memory_gib", memory, 0, MAX_GIB) * GIB)
    listed = told.get("devices", [])
    if not isinstance(listed, list):
        raise refuse(f"{where}.devices", f"is {shown(listed)}, not a list of cards")
    count = int(_number(f"{where}.count", told.get("count", 1), 1, MAX_COUNT, whole=True))
    cards = [card for at, each in enumerate(listed) for card in _cards(f"{where}.devices[{at}]", each)]
    for number in range(1, count + 1):
        node = name if count == 1 else f"{name}-{number}"
        devices = tuple(
            Device(name=card.name, memory_bytes=card.memory_bytes, uuid=f"{node}/{at}", capability=card.capability)
            for at, card in enumerate(cards)
        )
        yield Node(node, cpus, len(devices), devices, memory_bytes, node)


def _cards(where: str, entry: object) -> Sequence[Device]:
    told = _mapping(where, entry, _DEVICE)
    name = told.get("name")
    if not isinstance(name, str) or not name:
        raise refuse(f"{where}.name", f"is {shown(name)}, not the name of a card, as NVIDIA H100 80GB HBM3")
    known = card_of(name)
    memory = told.get("memory_gib", None if known is None else known.memory_gib)
    if memory is None:
        raise refuse(f"{where}.memory_gib", f"is missing, and {shown(name)} is not a card that is known; give it")
    num_bytes = int(_number(f"{where}.memory_gib", memory, 1, MAX_GIB) * GIB)
    count = int(_number(f"{where}.count", told.get("count", 1), 1, MAX_COUNT, whole=True))
    return [Device(name=name, memory_bytes=num_bytes, capability=None if known is None else known.capability)] * count


def _prices(where: str, told: object) -> dict[str, float]:
    if not isinstance(told, dict):
        raise refuse(where, f"is {shown(told)}, not prices of an hour by the names of cards")
    return {str(name): _number(f"{where}.{name}", price, 0, MAX_PRICE) for name, price in told.items()}


def _mapping(where: str, told: object, keys: Sequence[str]) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise refuse(where, f"is {shown(told)}, not a mapping with {', '.join(keys)}")
    for key in told:
        if key not in keys:
            raise refuse(
                f"{where}.{key}" if ":" in where else f"{where}: {key}", f"is not a key here; {nearest(str(key), keys)}"
            )
    return told


def _number(where: str, value: object, least: float, most: float, *, whole: bool = False) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most:  # NaN is neither
        if not whole or value == int(value):
            return float(value)
    raise refuse(where, f"is {shown(value)}, not {'a whole' if whole else 'a'} number from {least:g} to {most:g}")
