"""What a finished video's seams are like, as ``media.seams`` measured it, and what of it a person should hear."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ltx_ray.errors import ArtifactCorrupt, ArtifactMissing

if TYPE_CHECKING:
    from ltx_ray.store.protocol import Store

#: What is measured, and what it is called when it is too much.
METRICS = {
    "colour": "colour steps",
    "sharpness": "sharpness steps",
    "motion": "motion jumps",
    "loudness": "sound jumps",
}


@dataclass(frozen=True, slots=True)
class Seam:
    """Multiples of what is normal inside segments; None where nothing could be measured."""

    frame: int  #: the first after the seam, counted in the file
    at_s: float
    colour: float | None
    sharpness: float | None
    motion: float | None
    loudness: float | None
    reencode_error: float | None  #: of its connector, in standard deviations of the latent; no multiple

    def multiple(self, metric: str) -> float:
        value: float | None = getattr(self, metric)
        return value or 0.0


class Worst(NamedTuple):
    multiple: float
    metric: str
    seam: Seam


@dataclass(frozen=True, slots=True)
class SeamReport:
    seams: tuple[Seam, ...]
    problem: str = ""  #: why there is no report where one was made

    @property
    def worst(self) -> Worst | None:
        """The largest multiple of all; None without a seam."""
        found = [Worst(seam.multiple(metric), metric, seam) for seam in self.seams for metric in METRICS]
        return max(found, key=lambda worst: worst.multiple, default=None)

    def __str__(self) -> str:
        """``seams 12, worst colour 1.8x at 0:35.2``."""
        if self.worst is None:
            return f"seams not known: {self.problem}"
        multiple, metric, seam = self.worst
        return f"seams {len(self.seams)}, worst {metric} {multiple:.1f}x at {clock(seam.at_s)}"

    def over(self, threshold: float) -> Iterator[tuple[Worst, int]]:
        """For each metric that is over ``threshold`` somewhere its worst seam, and how many others are over it."""
        for metric in METRICS:
            found = [Worst(seam.multiple(metric), metric, seam) for seam in self.seams]
            too_much = [worst for worst in found if worst.multiple > threshold]
            if too_much:
                yield max(too_much, key=lambda worst: worst.multiple), len(too_much) - 1


def read_seams(store: Store, key: str | None) -> SeamReport | None:
    """The report that an inspection made; None if it has not been made, or there is none to make."""
    if key is None:
        return None
    try:
        fields = json.loads(store.read(key))
    except ArtifactMissing:
        return None
    except ArtifactCorrupt as error:
        return SeamReport((), str(error))
    return SeamReport(tuple(Seam(**seam) for seam in fields["seams"]))


def warnings(video_id: str, report: SeamReport, threshold: float) -> list[str]:
    """A sentence for each metric that is over ``threshold``."""
    told = []
    for (multiple, metric, seam), others in report.over(threshold):
        more = f", and at {others} more {'seams' if others > 1 else 'seam'}" if others else ""
        told.append(f"{video_id}: {METRICS[metric]} {multiple:.1f}x at {clock(seam.at_s)} (frame {seam.frame}){more}")
    return told


def clock(seconds: float) -> str:
    """``0:35.2``, ``1:02:03.4``."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    ahead = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{ahead}:{rest // 10:02}.{rest % 10}"
