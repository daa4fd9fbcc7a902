"""Who can work: every worker that joined, the idle ones indexed so that finding one costs as much for 10 as for 10,000.

A worker is *open* while it may get tasks: not draining, not quarantined, not about to be killed. It is *idle* when open
and without a task. Idle workers are kept by (set of stages, what is loaded), longest idle first. Nothing here knows
more of a task than its key.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from ltx_ray.spec.stages import SPECS, Group
from ltx_ray.spec.task import STAGES, Stage

GROUPS: tuple[Group, ...] = get_args(Group)
#: What a worker has loaded that has everything.
KEEPS_ALL: Literal["all"] = "all"
_Loaded = Group | Literal["all"] | None


@dataclass(slots=True)
class Worker:
    """Read it, never write it: only ``Fleet`` does."""

    name: str
    stages: frozenset[Stage]
    node: str
    is_open: bool = True
    task: str | None = None  #: key of the one task it runs
    #: All its parts stay where it computes, so that it may take any of its stages at no cost.
    keeps_all: bool = True
    #: Where they do not: group of the stage of its latest task, whose parts are there.
    loaded: Group | None = None
    leaves_at: float | None = None  #: when its draining node goes; None = it stays, or goes without haste
    is_doomed: bool = False  #: told to be killed: nothing more is asked of it, its end will be heard


def _loaded(worker: Worker) -> _Loaded:
    return KEEPS_ALL if worker.keeps_all else worker.loaded


class Fleet:
    """Workers by name. ``num_open`` and ``num_idle`` count those able to do a stage."""

    def __init__(self) -> None:
        self.workers: dict[str, Worker] = {}
        self.num_open: dict[Stage, int] = dict.fromkeys(STAGES, 0)
        self.num_idle: dict[Stage, int] = dict.fromkeys(STAGES, 0)
        self._idle: dict[frozenset[Stage], dict[_Loaded, OrderedDict[str, None]]] = {}
        self._groups: dict[Stage, list[frozenset[Stage]]] = {stage: [] for stage in STAGES}

    def join(self, worker: Worker) -> None:
        """Add an idle worker whose name is not in use."""
        self.workers[worker.name] = worker
        if worker.stages not in self._idle:
            self._idle[worker.stages] = {loaded: OrderedDict() for loaded in (*GROUPS, None, KEEPS_ALL)}
            for stage in worker.stages:
                self._groups[stage].append(worker.stages)
                self._groups[stage].sort(key=lambda group: (len(group), sorted(group)))
        self._count(self.num_open, worker, 1)
        self._add_idle(worker)

    def lose(self, name: str) -> None:
        """Forget a worker."""
        self.close(name)
        del self.workers[name]

    def close(self, name: str) -> None:
        """No more tasks for this worker; it keeps the one it has."""
        worker = self.workers[name]
        if worker.is_open:
            if worker.task is None:
                self._drop_idle(worker)
            worker.is_open = False
            self._count(self.num_open, worker, -1)

    def doom(self, name: str) -> None:
        """Close a worker whose process is about to be killed."""
        self.close(name)
        self.workers[name].is_doomed = True

    def expect_leave(self, name: str, at: float | None) -> None:
        """Close a worker whose node goes at ``at``; None = when it is idle."""
        self.close(name)
        self.workers[name].leaves_at = at

    def occupy(self, name: str, task: str, stage: Stage) -> None:
        """Give an idle worker a task."""
        worker = self.workers[name]
        self._drop_idle(worker)
        worker.task, worker.loaded = task, SPECS[stage].group

    def release(self, name: str) -> None:
        """Take its task away from a worker."""
        worker = self.workers[name]
        worker.task = None
        if worker.is_open:
            self._add_idle(worker)

    def can(self, name: str, stage: Stage) -> bool:
        """Whether this worker is open and able to do the stage."""
        worker = self.workers.get(name)
        return worker is not None and worker.is_open and stage in worker.stages

    def idle(self, stage: Stage, *, only_loaded: bool) -> Iterator[str]:
        """Idle workers able to do a stage: those that have its parts, then empty ones, then others.

        Inside each kind, those with the fewest stages first, so that the versatile stay free.
        """
        own = SPECS[stage].group
        others = () if only_loaded else (None, *(other for other in GROUPS if other != own))
        for loaded in (own, KEEPS_ALL, *others):
            for stages in self._groups[stage]:
                yield from self._idle[stages][loaded]

    def _add_idle(self, worker: Worker) -> None:
        self._idle[worker.stages][_loaded(worker)][worker.name] = None
        self._count(self.num_idle, worker, 1)

    def _drop_idle(self, worker: Worker) -> None:
        del self._idle[worker.stages][_loaded(worker)][worker.name]
        self._count(self.num_idle, worker, -1)

    @staticmethod
    def _count(counts: dict[Stage, int], worker: Worker, step: int) -> None:
        for stage in worker.stages:
            counts[stage] += step

    def check(self) -> None:
        """Assert that every index says the same as the workers themselves."""
        idle = {name for buckets in self._idle.values() for bucket in buckets.values() for name in bucket}
        assert idle == {name for name, worker in self.workers.items() if worker.is_open and worker.task is None}
        for worker in self.workers.values():
            if worker.name in idle:
                assert worker.name in self._idle[worker.stages][_loaded(worker)], (
                    f"{worker.name} idles in a wrong place"
                )
        for stage in STAGES:
            able = [worker for worker in self.workers.values() if worker.is_open and stage in worker.stages]
            assert self.num_open[stage] == len(able), f"num_open of {stage}"
            assert self.num_idle[stage] == sum(worker.task is None for worker in able), f"num_idle of {stage}"
