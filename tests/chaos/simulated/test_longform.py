"""Schedules of long videos on the virtual clock: near what is possible, never worse than greedy ones can be."""

from __future__ import annotations

import random
from fractions import Fraction
from functools import cache

import pytest

from benchmarks.longform import (
    AHEAD,
    FIRST_USE,
    LOAD_S,
    MODULES,
    TARGET,
    bound_workers,
    critical_path_s,
    long_video,
    plan,
    run,
    seconds,
    ten_minutes,
)
from ltx_ray.spec.task import STAGES


@cache
def ten_minutes_with(num_cuts):
    return plan([ten_minutes(num_cuts)])


@pytest.mark.parametrize("num_workers", [2, 4, 8])
@pytest.mark.parametrize("num_cuts", [0, 9])
def test_ten_minutes_end_near_the_lower_bound_although_weights_are_loaded(num_cuts, num_workers):
    tasks = ten_minutes_with(num_cuts)
    bound_s = max(critical_path_s(tasks), sum(map(seconds, tasks)) / num_workers)
    makespan_s = run(tasks, bound_workers(tasks, num_workers), AHEAD).makespan_s
    assert bound_s + LOAD_S <= makespan_s <= TARGET * bound_s


@pytest.mark.parametrize("seed", range(8))
def test_no_schedule_takes_longer_than_its_path_and_its_shared_work_together(seed):
    rng = random.Random(seed)
    videos = [
        long_video(
            f"v{video_idx}",
            [Fraction(rng.randint(1, 40)) for _ in range(rng.randint(1, 4))],
            **rng.choice(({}, {"chain": "final"}, {"refine_order": "alternate"})),
        )
        for video_idx in range(rng.randint(1, 3))
    ]
    tasks, num_workers = plan(videos), rng.randint(1, 9)
    everywhere = [(f"w{idx}", frozenset(STAGES)) for idx in range(num_workers)]
    path_s, share_s = critical_path_s(tasks), sum(map(seconds, tasks)) / num_workers
    makespan_s = run(tasks, everywhere).makespan_s
    assert max(path_s, share_s) - 1e-6 <= makespan_s <= path_s + share_s + 1e-6
    for loads in (AHEAD, FIRST_USE):
        result = run(tasks, bound_workers(tasks, num_workers), loads)
        assert result.makespan_s >= max(path_s, share_s) + LOAD_S - 1e-6
        loading_s = sum(result.busy_s.values()) - share_s * num_workers
        assert loading_s <= num_workers * len(set(MODULES.values())) * LOAD_S + 1e-6
