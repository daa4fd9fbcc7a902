"""Long test cards in every combination that matters: pairs of settings, and manifests of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

Value = str | int
Pair = tuple[tuple[str, Value], tuple[str, Value]]

#: Every value of every axis; the first of an axis is no better than the last.
AXES: dict[str, tuple[Value, ...]] = {
    "rate": ("23.976", "24", "25", "29.97", "30", "50", "60"),
    "connector": (9, 17, 25, 33),
    "scenes": ("one", "three", "cut"),
    "order": ("stagewise", "final", "alternate"),
    "join": ("latent", "pixels", "faded"),
    "overshoot": (0, 16),
    "workers": (1, 3),
}
RATES = {"23.976": Fraction(24000, 1001), "29.97": Fraction(30000, 1001)}


@dataclass(frozen=True)
class Case:
    """One value of each axis."""

    rate: str
    connector: int
    scenes: str
    order: str
    join: str
    overshoot: int
    workers: int

    @property
    def name(self) -> str:
        rate = self.rate.replace(".", "_")
        parts = (f"r{rate}", f"k{self.connector}", f"d{self.overshoot}", self.scenes, self.order, self.join)
        return "-".join(parts) + f"-w{self.workers}"

    @property
    def frame_rate(self) -> Fraction:
        return RATES.get(self.rate) or Fraction(self.rate)

    @property
    def frames(self) -> int:
        """A latent more than the shortest segment that keeps a connector for the next one."""
        return 2 * self.connector + self.overshoot + 15

    def scene_list(self) -> list[dict[str, Any]]:
        """Two segments or more in every take, and lengths that no grid likes."""
        first, new = self.frames - self.overshoot, self.connector + 15
        if self.scenes == "one":
            return [{"prompt": "A lighthouse at dusk", "num_frames": first + 2 * new + 3}]
        seconds = round(float((first + new - 4) / self.frame_rate), 2)
        return [
            {"prompt": "A lighthouse at dusk", "num_frames": first + new - 4},
            {"prompt": "Waves break", "seconds": seconds, "cut": self.scenes == "cut"},
            {"prompt": "Morning, the harbour wakes", "num_frames": new + 6},
        ]

    def entry(self) -> dict[str, Any]:
        """The video as a manifest says it."""
        segment: dict[str, Any] = {
            "frames": self.frames,
            "connector": self.connector,
            "overshoot": self.overshoot,
            "strength": 0.7 if self.join == "faded" else 1,
        }
        entry: dict[str, Any] = {
            "id": self.name,
            "frame_rate": float(self.rate),
            "segment": segment,
            "scenes": self.scene_list(),
        }
        if self.order == "alternate":
            entry["refine"] = "alternate"
        else:
            entry["chain"] = self.order
        if self.join != "latent":
            entry |= {"join": "pixels", "crossfade": 8 if self.join == "faded" else 0}
        return entry

    def num_frames(self) -> int:
        """Frames of the whole, from what the scenes ask for and nothing else."""
        end_s = Fraction(0)
        for scene in self.scene_list():
            end_s += Fraction(str(scene["seconds"])) if "seconds" in scene else scene["num_frames"] / self.frame_rate
        return math.floor(end_s * self.frame_rate + Fraction(1, 2))


def is_possible(values: Mapping[str, Value]) -> bool:
    """An alternate order holds the connector at both ends, for which 9 frames are too few."""
    return not (values.get("order") == "alternate" and values.get("connector") == 9)


def all_pairs() -> set[Pair]:
    """Every two values of different axes that can stand together."""
    return {
        ((one, a), (other, b))
        for one, other in combinations(AXES, 2)
        for a in AXES[one]
        for b in AXES[other]
        if is_possible({one: a, other: b})
    }


def pairs_of(values: Mapping[str, Value]) -> set[Pair]:
    """The pairs that occur in a case, or in what is chosen of it so far."""
    return {
        ((one, values[one]), (other, values[other]))
        for one, other in combinations(AXES, 2)
        if one in values and other in values
    }


def pairwise_cases() -> list[Case]:
    """Few cases in which every pair occurs, always the same ones."""
    open_pairs, cases = all_pairs(), []
    while open_pairs:
        values = _best_case(open_pairs)
        open_pairs -= pairs_of(values)
        cases.append(Case(**values))  # type: ignore[arg-type]
    return cases


def few_cases(number: int = 8) -> list[Case]:
    """Of the pairwise cases so many that between them every single value occurs."""
    left = {(axis, value) for axis, values in AXES.items() for value in values}
    seen: set[Pair] = set()
    cases, chosen = pairwise_cases(), []
    while len(chosen) < number:
        case = max(cases, key=lambda each: (len(left & _items(each)), len(pairs_of(vars(each)) - seen)))
        cases.remove(case)
        chosen.append(case)
        left -= _items(case)
        seen |= pairs_of(vars(case))
    return chosen


def _items(case: Case) -> set[tuple[str, Value]]:
    return set(vars(case).items())


def _best_case(open_pairs: set[Pair]) -> dict[str, Value]:
    """From each open pair on, value by value, what closes most; the best of these."""
    cases = [_grown(dict(pair), open_pairs) for pair in sorted(open_pairs, key=_rank)[:12]]
    return max(cases, key=lambda values: len(pairs_of(values) & open_pairs))


def _grown(values: dict[str, Value], open_pairs: set[Pair]) -> dict[str, Value]:
    for axis, all_values in AXES.items():
        if axis in values:
            continue
        fitting = [value for value in all_values if is_possible({**values, axis: value})]
        values[axis] = max(fitting, key=lambda value: len(pairs_of({**values, axis: value}) & open_pairs))
    return {axis: values[axis] for axis in AXES}


def _rank(pair: Pair) -> list[tuple[int, int]]:
    axes = list(AXES)
    return [(axes.index(axis), AXES[axis].index(value)) for axis, value in pair]


def write_manifest(path: Path, videos: Sequence[Mapping[str, Any]], *, size_px: int = 128) -> Path:
    """A manifest of square test cards."""
    defaults = {"width": size_px, "height": size_px, "frame_rate": 24, "seed": 7}
    path.write_text(json.dumps({"version": 1, "model": "testcard", "defaults": defaults, "videos": list(videos)}))
    return path


def by_workers(cases: Sequence[Case]) -> Iterator[tuple[int, list[Case]]]:
    for workers in AXES["workers"]:
        assert isinstance(workers, int)
        yield workers, [case for case in cases if case.workers == workers]
