"""``key=value`` for every video and ``ID:key=value`` for one: the layers the command line lays over a manifest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ltx_ray.manifest.cells import value_of
from ltx_ray.manifest.keys import DEFAULTS
from ltx_ray.manifest.problems import Layer, Problems, nearest, shown
from ltx_ray.manifest.tables import read_layer

PLACE = "command line"

#: After everything in the file.
ORDER = 10**9


@dataclass(frozen=True, slots=True)
class Overrides:
    """``by_id`` keeps the ids as typed; an id of a swept video may be typed with or without its suffix."""

    for_all: Layer
    by_id: dict[str, Layer] = field(default_factory=dict)

    def layers(self, *ids: str) -> Iterable[Layer]:
        """What applies to a video known by ``ids``, the strongest last."""
        if self.for_all.values:
            yield self.for_all
        if self.by_id:
            yield from (self.by_id[one] for one in dict.fromkeys(ids) if one in self.by_id)

    def check(self, ids: Iterable[str], swept: Iterable[str], problems: Problems) -> None:
        """Note every id that names no video, and every key of ``swept``, whose values stand in ids."""
        known, swept = dict.fromkeys(ids), frozenset(swept)
        for layer in (self.for_all, *self.by_id.values()):
            for key in swept.intersection(layer.values):
                problems.add(layer, key, "the file sweeps it, and ids carry the values; change it there")
        for one, layer in self.by_id.items():
            if one not in known:
                problems.add(Layer(f"{PLACE}: ", layer.order), one, f"no video has this id; {nearest(one, known)}")


def read_overrides(arguments: Sequence[str], problems: Problems) -> Overrides:
    """Read every argument; a later one wins over an earlier one with the same key."""
    raw: dict[str, dict[str, object]] = {}
    for position, argument in enumerate(arguments):
        place = Layer(f"{PLACE}: ", (ORDER, position))
        left, equals, text = argument.partition("=")
        video_id, _, key = left.strip().rpartition(":")
        if not equals or not key:
            problems.add(place, shown(argument), "is not key=value or ID:key=value")
            continue
        raw.setdefault(video_id, {})[key] = value_of(key, text)
    for_all = read_layer(raw.pop("", {}), Layer(f"{PLACE}: ", (ORDER,)), problems, DEFAULTS)
    by_id = {
        one: read_layer(given, Layer(f"{PLACE}: {one}:", (ORDER, position)), problems, DEFAULTS)
        for position, (one, given) in enumerate(raw.items())
    }
    return Overrides(for_all, by_id)
