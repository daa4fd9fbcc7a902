"""Placements on the virtual clock: near the best of all there are, and sound where cards are unlike."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from benchmarks.longform import SIZES, long_video, plan
from ltx_ray.plan.layouts import GROUPS, MODES, held, slowness
from ltx_ray.plan.placement import FILE_STAGES, GPU_STAGES, Placement, Wishes, _card, placements
from ltx_ray.plan.seconds import Seconds
from ltx_ray.plan.work import work_of
from ltx_ray.run.estimate import estimate
from ltx_ray.run.placing import MAX_JUDGED
from ltx_ray.spec.cost import Cost
from ltx_ray.spec.machine import WorkerSpec
from tests.unit.plan.work_examples import node

GB = 10**9
BESIDE = {"generate": GB, "refine": 5 * GB, "decode": 5 * GB}


def asked(num_clips, seconds=5):
    tasks = {task.key: task for task in plan([long_video(f"v{idx}", [seconds]) for idx in range(num_clips)])}
    costs = {key: Cost(0.0, BESIDE.get(task.stage, GB)) for key, task in tasks.items()}
    times = Seconds(costs)
    return tasks, times, work_of(tasks, seconds=times.on_reference, costs=costs, size=lambda part: SIZES[part.part])


def took_s(tasks, times, work, machine, workers):
    found = estimate(tasks, Placement(tuple(workers)), [machine], work=work, seconds=times)
    return found.wall_s


def every_way(machine, work):
    """Each set of groups that each card could hold in one process, as workers."""
    ways = []
    for idx, device in enumerate(machine.devices):
        card, on_it = _card(machine, device, Wishes()), []
        for mask in range(1 << len(GROUPS)):
            stages = frozenset(
                s for bit, group in enumerate(GROUPS) if mask >> bit & 1 for s in group if s in work.stages
            )
            if not stages:
                on_it.append(None)
                continue
            fits = [each for mode in MODES if (each := held(work, stages, mode, card.room_bytes, card.host_bytes))]
            if fits:
                spec = WorkerSpec(name=f"gpu{idx}", node="a", stages=stages, num_gpus=1, device=device.uuid)
                on_it.append(replace(spec, slowness=min(slowness(work, each, card) for each in fits)))
        ways.append(on_it)
    files = WorkerSpec(name="cpu", node="a", stages=FILE_STAGES)
    for chosen in product(*ways):
        workers = [each for each in chosen if each is not None]
        if set(work.stages) & GPU_STAGES <= frozenset().union(*(each.stages for each in workers), frozenset()):
            yield [*workers, files]


@pytest.mark.parametrize("gib", [(80, 80), (80, 24), (24, 12), (24, 24), (80, 12)])
@pytest.mark.parametrize("num_clips", [1, 6, 11])
def test_a_placement_is_not_much_slower_than_the_best_that_there_is(gib, num_clips):
    tasks, times, work = asked(num_clips)
    machine = node("a", *gib)
    placed_s = min(
        took_s(tasks, times, work, machine, each.workers) for each in placements([machine], work, most=MAX_JUDGED)
    )
    best_s = min(took_s(tasks, times, work, machine, workers) for workers in every_way(machine, work))
    # With a card six times slower than the other one, a single task more or less on it decides.
    assert placed_s <= (1.07 if gib == (24, 12) else 1.05) * best_s
