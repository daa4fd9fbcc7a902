"""How a video goes across its seams, held against how it goes inside its segments.

At a place between two frames several steps are measured; windows are a third of a second on each side, cut short by the
next seam, cut or end:

    colour      distance of the mean colour, in 8-bit levels of Y'CbCr: of the two frames, and of the two windows
    sharpness   ratio of fine detail over contrast, after to before, mean over the windows, as a logarithm
    motion      how far the two frames differ over how far neighbours in the windows do, as a logarithm: a jump or a
                stop; and the latter after over before: another pace
    loudness    decibels between the windows; and the largest step from sample to sample near the place: a click

The same steps are measured at every place in the middle of segments, up to some seconds each of segments spread over
the video, so that a seam costs the same in a video of any length. A step's multiple is its size over what 19 of 20
places inside segments stay below, or over a floor that nobody sees or hears, so that stills and silence divide by
something. Each name above is the larger of its multiples: around 1 nothing is to be noticed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np

from ltx_ray.media.audio import open_wav
from ltx_ray.media.measure import Hearing, Picture, Track, measure_pictures, measure_sound
from ltx_ray.spec.recipe import InspectRecipe

REPORT_SCHEMA = 1

#: A window on one side of a place; how many windows are looked at in the middle of a segment; and of how many segments.
WINDOW_S = Fraction(1, 3)
MIDDLE_WINDOWS = 9
MAX_MIDDLES = 32
#: The sound goes over up to a cell before the picture does; a click is looked for so far around.
CLICK_S = Fraction(1, 20)
#: Share of places inside segments that stay below what counts as normal.
NORMAL_PERCENTILE = 95.0
#: What is added to a change of a picture, in standard deviations, before the logarithm: the coder's noise in a still.
STILL = 0.005
#: The same for loudness: -60 dB of full scale as power.
SILENCE = 1e-6

#: For each step: what it belongs to, and the floor of what is normal.
STEPS = {
    "colour_frame": ("colour", 0.4),
    "colour_level": ("colour", 0.4),
    "sharpness_level": ("sharpness", 0.06),
    "motion_jump": ("motion", 0.3),
    "motion_pace": ("motion", 0.2),
    "loudness_level": ("loudness", 1.0),
    "loudness_click": ("loudness", 0.01),
}
#: Steps from one frame or sample to the next, for which the windows matter little.
AT_ONCE = ("colour_frame", "motion_jump", "loudness_click")
METRICS = tuple(dict.fromkeys(metric for metric, _ in STEPS.values()))


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive frames, measured; row 0 is the first frame. Without sound ``power`` and ``jump`` are None."""

    colour: np.ndarray  #: [n, 3]
    sharpness: np.ndarray
    change: np.ndarray  #: from the frame before; of row 0 it is not used
    power: np.ndarray | None
    jump: np.ndarray | None


def inspect_seams(
    recipe: InspectRecipe, chunks: Sequence[Path], sounds: Sequence[Path], errors: Sequence[float | None]
) -> dict[str, object]:
    """The report on every seam, ready for JSON: its frame, its time, its multiples, its connector's error.

    Args:
        chunks: coded by ``encode_chunk``, as many frames each as the recipe says.
        sounds: written by ``write_wav``; none = the video is silent, and so is the report on loudness.
        errors: the re-encoding error of each connector, or None where it is not known.
    Raises:
        MediaError: a file cannot be read, or is shorter than the recipe says.
    """
    rate = recipe.frame_rate
    window, reach = max(2, round(WINDOW_S * rate)), math.ceil(CLICK_S * rate)
    edges = sorted({0, *recipe.seams, *recipe.cuts, sum(recipe.chunk_frames)})
    around = {seam: _around(seam, edges, window) for seam in recipe.seams}
    segments = list(pairwise(edges))
    spread = sorted({idx * len(segments) // MAX_MIDDLES for idx in range(MAX_MIDDLES)})
    middles = [_middle(*segments[idx], margin=reach, longest=MIDDLE_WINDOWS * window) for idx in spread]
    wanted = _united([*around.values(), *middles])
    pictures = measure_pictures(chunks, recipe.chunk_frames, wanted, rate)
    track = Track(tuple(map(open_wav, sounds)), recipe.sound_samples)
    heard = measure_sound(track, wanted, rate) if sounds else None

    normal = _normal((_stretch(middle, pictures, heard) for middle in middles), window, reach)
    error_of = dict(zip(recipe.connectors, errors, strict=True))
    seams = []
    for seam_idx, (seam, (start, stop)) in enumerate(around.items()):
        found = steps(_stretch((start, stop), pictures, heard), seam - start, window=window, reach=reach)
        error = error_of.get(seam_idx)
        seams.append(
            {
                "frame": seam,
                "at_s": round(float(seam / rate), 3),
                **_multiples(found, normal),
                "reencode_error": None if error is None or math.isnan(error) else round(error, 6),
            }
        )
    return {
        "schema": REPORT_SCHEMA,
        "frame_rate": f"{rate.numerator}/{rate.denominator}",
        "normal": {name: round(size, 6) for name, size in normal.items()},
        "seams": seams,
    }


def steps(stretch: Stretch, place: int, *, window: int, reach: int) -> dict[str, float]:
    """Every step between rows ``place`` - 1 and ``place``; one that cannot be told from so few rows is absent."""
    first, stop = max(place - window, 0), place + window
    before, after = slice(first, place), slice(place, stop)
    pace_before, pace_after = stretch.change[first + 1 : place], stretch.change[place + 1 : stop]
    found = {
        "colour_frame": float(np.linalg.norm(stretch.colour[place] - stretch.colour[place - 1])),
        "colour_level": float(np.linalg.norm(stretch.colour[after].mean(0) - stretch.colour[before].mean(0))),
        "sharpness_level": abs(float(stretch.sharpness[after].mean() - stretch.sharpness[before].mean())),
    }
    if paces := [*pace_before, *pace_after]:
        found["motion_jump"] = _log_ratio(stretch.change[place], float(np.mean(paces)), STILL)
    if len(pace_before) and len(pace_after):
        found["motion_pace"] = _log_ratio(float(pace_after.mean()), float(pace_before.mean()), STILL)
    if stretch.power is not None and stretch.jump is not None:
        power_after, power_before = float(stretch.power[after].mean()), float(stretch.power[before].mean())
        found["loudness_level"] = 10 / math.log(10) * _log_ratio(power_after, power_before, SILENCE)
        found["loudness_click"] = float(stretch.jump[max(place - reach, 0) : place + reach].max())
    return found


def _normal(stretches: Iterable[Stretch], window: int, reach: int) -> dict[str, float]:
    """For each step what most places inside these stretches stay below, or its floor."""
    sizes: dict[str, list[float]] = {name: [] for name in STEPS}
    for stretch in stretches:
        rows = len(stretch.sharpness)
        full = min(window, rows // 3)  # shorter windows would differ more, and count as normal
        for place in range(1, rows):
            has_windows = full <= place <= rows - full
            for name, size in steps(stretch, place, window=window, reach=reach).items():
                if has_windows or name in AT_ONCE:
                    sizes[name].append(size)
    return {
        name: max(floor, float(np.percentile(sizes[name], NORMAL_PERCENTILE)) if sizes[name] else 0.0)
        for name, (_, floor) in STEPS.items()
    }


def _multiples(found: Mapping[str, float], normal: Mapping[str, float]) -> dict[str, float | None]:
    """The largest multiple of each metric; None where nothing could be measured."""
    largest: dict[str, float | None] = dict.fromkeys(METRICS)
    for name, size in found.items():
        metric = STEPS[name][0]
        largest[metric] = max(largest[metric] or 0.0, round(size / normal[name], 3))
    return largest


def _log_ratio(a: float, b: float, least: float) -> float:
    return abs(math.log((a + least) / (b + least)))


def _around(seam: int, edges: Sequence[int], window: int) -> tuple[int, int]:
    """Frames on both sides of a seam that belong to the segments it joins."""
    place = edges.index(seam)
    return max(edges[place - 1], seam - window), min(edges[place + 1], seam + window)


def _middle(start: int, stop: int, *, margin: int, longest: int) -> tuple[int, int]:
    """The middle of a segment, at most ``longest`` frames, away from its ends as far as its length allows."""
    length = stop - start
    taken = min(length - 2 * min(margin, length // 4), longest)
    first = start + (length - taken) // 2
    return first, first + taken


def _united(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same frames as ascending ranges apart from each other."""
    union: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if union and start <= union[-1][1]:
            union[-1] = union[-1][0], max(union[-1][1], stop)
        else:
            union.append((start, stop))
    return union


def _stretch(frames: tuple[int, int], pictures: Mapping[int, Picture], heard: Mapping[int, Hearing] | None) -> Stretch:
    numbers = range(*frames)
    table = np.array([pictures[number] for number in numbers])
    sound = np.array([heard[number] for number in numbers]) if heard is not None else None
    return Stretch(
        colour=table[:, :3],
        sharpness=table[:, 3],
        change=table[:, 4],
        power=None if sound is None else sound[:, 0],
        jump=None if sound is None else sound[:, 1],
    )
