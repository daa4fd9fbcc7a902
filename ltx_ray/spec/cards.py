"""Cards that people render on, as their makers describe them: what they hold, and how fast they compute and read.

Rates are dense, in half precision with sums in fp32, of the largest configuration at its default clock: what a card
does of it, ``plan.seconds`` says. Source: the data sheets and architecture papers of NVIDIA (Turing, Volta, Ampere,
Ada, Hopper, Blackwell; GeForce tables for sums in fp32).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple


class Card(NamedTuple):
    """A row: a card is it when its name contains all of ``words``."""

    words: tuple[str, ...]
    memory_gib: float
    capability: tuple[int, int]
    tflops: float  #: bf16; fp16 where it has none
    fp8_tflops: float | None  #: None = it has no fp8 arithmetic
    gb_per_s: float  #: of its memory

    @property
    def has_bf16(self) -> bool:
        return self.capability >= (8, 0)


#: The first row that fits counts, so the more special names come first.
CARDS: tuple[Card, ...] = (
    Card(("B200",), 180, (10, 0), 2250, 4500, 8000),
    Card(("GH200",), 96, (9, 0), 989, 1979, 4000),
    Card(("H200",), 141, (9, 0), 989, 1979, 4800),
    Card(("H100", "NVL"), 94, (9, 0), 835, 1671, 3938),
    Card(("H100", "PCIe"), 80, (9, 0), 756, 1513, 2000),
    Card(("H100",), 80, (9, 0), 989, 1979, 3350),
    Card(("A100", "40GB"), 40, (8, 0), 312, None, 1555),
    Card(("A100",), 80, (8, 0), 312, None, 2039),
    Card(("A10G",), 24, (8, 6), 70, None, 600),
    Card(("A10",), 24, (8, 6), 125, None, 600),
    Card(("A40",), 48, (8, 6), 150, None, 696),
    Card(("RTX PRO 6000",), 96, (12, 0), 504, 1008, 1792),
    Card(("RTX 6000 Ada",), 48, (8, 9), 364, 728, 960),
    Card(("RTX A6000",), 48, (8, 6), 155, None, 768),
    Card(("RTX 5090",), 32, (12, 0), 210, 419, 1792),
    Card(("RTX 5080",), 16, (12, 0), 113, 225, 960),
    Card(("RTX 5070 Ti",), 16, (12, 0), 88, 176, 896),
    Card(("RTX 4090",), 24, (8, 9), 165, 330, 1008),
    Card(("RTX 4080",), 16, (8, 9), 97, 195, 717),
    Card(("RTX 4070",), 12, (8, 9), 58, 117, 504),
    Card(("RTX 4060 Ti",), 16, (8, 9), 44, 88, 288),
    Card(("RTX 3090",), 24, (8, 6), 71, None, 936),
    Card(("RTX 3080",), 10, (8, 6), 60, None, 760),
    Card(("RTX 3060",), 12, (8, 6), 26, None, 360),
    Card(("L40S",), 48, (8, 9), 362, 733, 864),
    Card(("L40",), 48, (8, 9), 181, 362, 864),
    Card(("L4",), 24, (8, 9), 121, 242, 300),
    Card(("V100",), 32, (7, 0), 125, None, 900),
    Card(("T4",), 16, (7, 5), 65, None, 320),
)

#: The card whose seconds those of ``spec.stages`` are, and which has the speed 1.
REFERENCE = next(card for card in CARDS if card.words == ("H100",))


#: A divided card names of how many of its sevenths a slice is.
_SLICE, SLICES = re.compile(r"MIG (\d)g"), 7


@lru_cache(maxsize=256)
def card_of(name: str) -> Card | None:
    """The row of a card that its driver calls so; None = there is none."""
    spoken = name.lower().replace("-", " ")
    return next((card for card in CARDS if all(word.lower() in spoken for word in card.words)), None)


class Speed(NamedTuple):
    """How many times faster than the reference a card is."""

    computes: float
    reads: float  #: its own memory


def speed_of(name: str) -> Speed:
    """Of a card, or of a slice of one; a card that nobody knows is taken for the reference."""
    card = card_of(name) or REFERENCE
    part = _SLICE.search(name)
    share = int(part.group(1)) / SLICES if part else 1.0
    return Speed(share * card.tflops / REFERENCE.tflops, share * card.gb_per_s / REFERENCE.gb_per_s)
