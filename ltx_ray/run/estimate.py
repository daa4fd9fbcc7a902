"""What a plan will take on the workers that it is placed on: time, hours of cards, money and bytes.

The time is that of the schedule that a render gets, on a virtual clock: the same object decides in both.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ltx_ray.engine.cards import CardClock
from ltx_ray.engine.retry import Limits
from ltx_ray.engine.simulate import Loads, simulate
from ltx_ray.errors import DoesNotFit, PlanError
from ltx_ray.plan.layouts import DISK_BPS
from ltx_ray.plan.placement import Placement
from ltx_ray.plan.seconds import Seconds
from ltx_ray.plan.work import Work
from ltx_ray.spec.machine import Node
from ltx_ray.spec.stages import SPECS, Stage
from ltx_ray.spec.task import Task

#: The time may be so many times as long, or as short: by the table of cards, and by what was measured.
BAND_TABLE, BAND_MEASURED = (0.5, 2.0), (0.85, 1.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """What a render may take at most; None = it may take anything."""

    gpu_hours: float | None = None
    cost: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Of what is left of a plan."""

    wall_s: float
    band: tuple[float, float]  #: seconds, at least and at most
    card_hours: Mapping[str, float]  #: of each kind of card, from the first task to the last
    busy: float  #: share of that time in which the cards compute
    cost: float | None  #: None = no price is known of some card
    peak_bytes: Mapping[str, int]  #: by kind of card, of its fullest one
    num_measured: int  #: tasks that the times are corrected by; 0 = all are by the table of cards
    stage_s: Mapping[Stage, float] = field(default_factory=dict)  #: of all tasks together

    @property
    def gpu_hours(self) -> float:
        return sum(self.card_hours.values())

    @property
    def basis(self) -> str:
        return f"measured {self.num_measured} times here" if self.num_measured else "by the table of cards"

    def check(self, ceilings: Ceilings) -> None:
        """Raise DoesNotFit if the plan takes more than it may."""
        for option, allowed, takes, what in (
            ("--max-gpu-hours", ceilings.gpu_hours, self.gpu_hours, "hours of cards"),
            ("--max-cost", ceilings.cost, self.cost, "for its cards"),
            ("--deadline", ceilings.seconds, self.wall_s, "seconds"),
        ):
            if allowed is None:
                continue
            if takes is None:
                raise DoesNotFit(f"{option} {allowed:g}: no price is known of a card of this cluster; give --price")
            if takes > allowed:
                raise DoesNotFit(
                    f"{option} {allowed:g}: this takes about {takes:.3g} {what} ({self.basis}); fewer videos, "
                    "a smaller preset, another cluster or a higher limit would do"
                )


def estimate(
    tasks: Mapping[str, Task],
    placement: Placement,
    nodes: Sequence[Node],
    *,
    work: Work,
    seconds: Seconds,
    prices: Mapping[str, float] | None = None,
) -> Estimate | None:
    """What ``tasks`` take on these workers; None = nothing is known of what computes there.

    Args:
        prices: of a card for an hour, by a part of its name; "" = of every card.
    """
    kinds = {device.uuid: device.name for node in nodes for device in node.devices}
    names = {worker.name: kinds.get(worker.device, "") for worker in placement.workers}
    slowness = {worker.name: worker.slowness for worker in placement.workers}
    on_cards = {key for key, task in tasks.items() if SPECS[task.stage].device == "gpu"}
    if not tasks or not _is_known(tasks, names, seconds, on_cards):
        return None

    def duration_s(task: Task, worker: str) -> float:
        return seconds.on(task, names[worker]) * slowness[worker]

    went = simulate(
        tasks.values(),
        [(worker.name, worker.stages) for worker in placement.workers],
        durations=duration_s,
        weights=work.mean_s,
        loads=_loads(work),
        clock=CardClock({worker.name: worker.device for worker in placement.workers if worker.device}),
        host_s=seconds.on_host,
        limits=Limits(hang_s=None),  # here nothing hangs, however slow its card is
    )
    assert went.state.total("done") == len(tasks), "every stage has a worker"
    wall_s = went.makespan_s
    used = Counter(kinds[device] for device in {worker.device for worker in placement.workers} if device in kinds)
    busy_s = sum(went.busy_s.get(worker.name, 0.0) for worker in placement.workers if worker.device)
    num_measured = sum(factor.num_measured for factor in seconds.factors.values())
    low, high = BAND_MEASURED if num_measured else BAND_TABLE
    hours = {name: count * wall_s / 3600 for name, count in used.items()}
    return Estimate(
        wall_s=wall_s,
        band=(low * wall_s, high * wall_s),
        card_hours=hours,
        busy=min(1.0, busy_s / (sum(used.values()) * wall_s)) if used and wall_s else 1.0,
        cost=_cost(hours, prices or {}),
        peak_bytes=_peaks(placement, kinds),
        num_measured=num_measured,
        stage_s={stage: each.seconds for stage, each in work.stages.items()},
    )


def _is_known(tasks: Mapping[str, Task], names: Mapping[str, str], seconds: Seconds, on_cards: set[str]) -> bool:
    """Whether a time of every stage that computes is more than a guess: by its card, or measured on these cores."""
    if any(names.values()):
        return True
    return all((tasks[key].stage, "") in seconds.factors for key in on_cards)


def _loads(work: Work) -> Loads:
    """Each worker reads the parts of a stage once, before its tasks where it can."""
    modules: dict[Stage, str] = {}
    module_s: dict[str, float] = {}
    for stage, each in work.stages.items():
        parts = tuple(dict.fromkeys(part for load in each.loads for part in load.parts))
        num_bytes = sum(work.sizes[part].num_bytes for part in parts)
        if num_bytes:
            modules[stage] = " ".join(sorted({f"{part.part} {part.digest}" for part in parts}))
            module_s[modules[stage]] = num_bytes / DISK_BPS
    return Loads(module_s=module_s, modules=modules, ahead=True)


def _cost(hours: Mapping[str, float], prices: Mapping[str, float]) -> float | None:
    total = 0.0
    for name, each in hours.items():
        price = next((price for part, price in prices.items() if part.lower() in name.lower()), None)
        if price is None:
            return None
        total += price * each
    return total


def _peaks(placement: Placement, kinds: Mapping[str, str]) -> dict[str, int]:
    by_card: Counter[str] = Counter()
    for worker in placement.workers:
        if worker.device in kinds:
            by_card[worker.device] += worker.peak_bytes
    peaks: dict[str, int] = {}
    for device, num_bytes in by_card.items():
        peaks[kinds[device]] = max(peaks.get(kinds[device], 0), num_bytes)
    return peaks


_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")


def read_duration(text: str, where: str) -> float:
    """Seconds of ``90``, ``45m`` or ``2h30m``. Raises PlanError: it is no length of time."""
    found = _DURATION.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        raise PlanError(f"{where}: {text!r} is no length of time; write 90, 45m or 2h30m")
    hours, minutes, seconds = (float(each or 0) for each in found.groups())
    return 3600 * hours + 60 * minutes + seconds


def shown_duration(seconds: float) -> str:
    """``2 h 05 min``, ``12 min 30 s`` or ``8.5 s``."""
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
